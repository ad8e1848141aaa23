//! The layouts in `tests/layouts`, each with the answer that is expected: real shapes of repositories in five stacks. And
//! this project itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::recording::EntryKind;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    stacks: Vec<String>,
    services: Vec<String>,
    /// Some of those that must be found.
    commands: Vec<String>,
    targets: Vec<Wanted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    target: String,
    entry: Option<String>,
    /// Source, command and evidence of an existing test.
    test: Option<String>,
    directory: Option<String>,
    generated: bool,
    guessed: Vec<String>,
    /// A line's part that the generated script has.
    script: Option<String>,
    /// Source of the end-to-end test; none: there is none.
    e2e: Option<String>,
    ambiguous: Vec<String>,
    no_command: Option<String>,
    not_found: Option<String>,
    nearest: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn lower(of: impl std::fmt::Debug) -> String {
    format!("{of:?}").to_lowercase()
}

fn stack_text(stack: &found::Stack) -> String {
    let path = if stack.directory.is_empty() { "." } else { &stack.directory };
    let language = if stack.language == found::Language::DotNet { ".net".to_owned() } else { lower(stack.language) };
    format!("{path} {language} {} {}", stack.manager.name, stack.test_tools.first().map_or("", |tool| tool.name))
}

fn command_text(command: &found::FoundCommand) -> String {
    use found::{CommandKind as Kind, CommandSource as Source};
    let kind = match command.kind {
        Kind::Test => "test",
        Kind::E2eTest => "e2e_test",
        Kind::Benchmark => "benchmark",
        Kind::Build => "build",
        Kind::Start => "start",
    };
    let source = match command.source {
        Source::Settings => "perfmap.toml",
        Source::Ci => "ci",
        Source::Runbook => "runbook",
        Source::Manifest => "manifest",
        Source::TaskRunner => "task_runner",
        Source::TestEnvironment => "test_environment",
        Source::Compose => "compose",
        Source::Convention => "convention",
    };
    format!("{kind} {source} {} ({})", command.line, command.evidence)
}

fn entry_text(entry: &crate::recording::EntryPoint) -> String {
    let kind = match entry.kind {
        EntryKind::ApiEndpoint => "api_endpoint",
        EntryKind::Function => "function",
        EntryKind::Pipeline => "pipeline",
        EntryKind::Test => "test",
    };
    let route = entry.route.as_ref().map(|route| format!(" {route}")).unwrap_or_default();
    format!("{kind} {}:{} {}{route}", entry.file, entry.line, entry.function)
}

fn check(name: &str) {
    let layout = root().join("tests/layouts").join(name);
    let text = std::fs::read_to_string(layout.join("expected.yaml")).expect("an answer");
    let expected: Expected = serde_yaml::from_str(&text).expect("the answer's form");
    let repo = layout.join("repo");
    let mut wrong = Vec::new();
    let mut same = |what: String, found: String, expected: String| {
        if found != expected {
            wrong.push(format!("{what}\n  found    {found}\n  expected {expected}"));
        }
    };
    for (number, wanted) in expected.targets.iter().enumerate() {
        let target = &wanted.target;
        let found = match (discover(&repo, "", target), &wanted.not_found) {
            (Ok(found), None) => found,
            (Err(DiscoverError::NotFound { at, nearest }), Some(expected)) => {
                same(format!("{target}: not found at"), at, expected.clone());
                if !wanted.nearest.is_empty() {
                    same(format!("{target}: nearest"), nearest.join(", "), wanted.nearest.join(", "));
                }
                continue;
            }
            (other, _) => {
                same(target.clone(), format!("{other:?}"), format!("{wanted:?}"));
                continue;
            }
        };
        same(format!("{target}: entry"), entry_text(&found.entry), wanted.entry.clone().unwrap_or_default());
        let (test, directory, guessed, script) = match &found.test {
            TestCommand::Found(test) => {
                let text = format!("{} {} ({})", lower(test.source), test.run.line(), test.evidence);
                (Some(text), test.run.directory.clone(), Vec::new(), None)
            }
            TestCommand::Generated(made) => {
                (None, made.directory.clone(), made.guessed.clone(), Some(made.files[0].1.clone()))
            }
            TestCommand::None(why) => {
                same(format!("{target}: no command"), lower(why), wanted.no_command.clone().unwrap_or_default());
                (None, String::new(), Vec::new(), None)
            }
        };
        same(format!("{target}: test"), format!("{test:?}"), format!("{:?}", wanted.test));
        same(format!("{target}: generated"), script.is_some().to_string(), wanted.generated.to_string());
        same(format!("{target}: directory"), directory, wanted.directory.clone().unwrap_or_default());
        same(format!("{target}: guessed"), format!("{guessed:?}"), format!("{:?}", wanted.guessed));
        if let (Some(part), Some(script)) = (&wanted.script, &script) {
            assert!(script.contains(part.as_str()), "{target}: {part} is not in\n{script}");
        }
        let e2e = found.e2e_test.as_ref().map(|test| lower(test.source));
        same(format!("{target}: e2e"), format!("{e2e:?}"), format!("{:?}", wanted.e2e));
        assert_eq!(found.warnings.contains(&Warning::NoEndToEndTest), e2e.is_none(), "{target}");
        let ambiguous = found.warnings.iter().find_map(|warning| match warning {
            Warning::Ambiguous { others } => Some(others.clone()),
            Warning::NoEndToEndTest
            | Warning::HandlerUnknown
            | Warning::TooManyFiles
            | Warning::SourcesLeftOut { .. } => None,
        });
        same(format!("{target}: ambiguous"), ambiguous.unwrap_or_default().join(", "), wanted.ambiguous.join(", "));
        if number == 0 {
            let stacks: Vec<String> = found.stacks.iter().map(stack_text).collect();
            same(format!("{name}: stacks"), stacks.join("\n"), expected.stacks.join("\n"));
            let services = found.topology.services.iter().map(|service| {
                let path = service.path.to_string_lossy();
                format!("{} {} {:?}", service.name, if path.is_empty() { "." } else { &path }, service.ports)
            });
            same(format!("{name}: services"), services.collect::<Vec<_>>().join("\n"), expected.services.join("\n"));
            let commands: Vec<String> = found.commands.iter().map(command_text).collect();
            for wanted in &expected.commands {
                if !commands.contains(wanted) {
                    same(format!("{name}: commands"), commands.join("\n           "), wanted.clone());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! layouts {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*

        #[test]
        fn every_layout_is_tested() {
            let mut there: Vec<String> = std::fs::read_dir(root().join("tests/layouts")).expect("the layouts")
                .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
            there.sort();
            assert_eq!(there, [$($name),*]);
        }
    };
}

layouts! {
    fastapi_with_uv: "01_fastapi_uv",
    django_with_poetry: "02_django_poetry",
    flask_with_tox: "03_flask_tox",
    express_with_npm_and_jest: "04_express_npm_jest",
    nest_with_pnpm_and_vitest: "05_nest_pnpm_vitest",
    go_with_net_http: "06_go_nethttp",
    rust_workspace_with_axum: "07_rust_axum",
    spring_with_maven: "08_spring_maven",
    gradle_with_junit: "09_gradle_junit",
    many_languages_with_compose: "10_polyglot_compose",
}

#[test]
fn the_project_itself() {
    let found = discover(&root(), "", "perfmap/src/report/slug.rs::slug").expect("its own function");
    assert_eq!(found.entry.kind, EntryKind::Function);
    assert_eq!((found.entry.file.as_str(), found.entry.function.as_str()), ("perfmap/src/report/slug.rs", "slug"));
    let TestCommand::Found(test) = &found.test else { panic!("{:?}", found.test) };
    assert_eq!(test.source, TestSource::Function);
    let line = test.run.line();
    assert!(line.starts_with("cargo test -p perfmap --lib report::slug::tests::"), "{line}");
    let rust: Vec<String> = found.stacks.iter().map(stack_text).filter(|text| text.contains(" rust ")).collect();
    let expected = [". rust", "fuzz rust", "perfmap rust", "perfmap-common rust", "tests rust", "xtask rust"];
    assert_eq!(rust, expected.map(|text| format!("{text} cargo cargo test")));
    let commands: Vec<String> = found.commands.iter().map(command_text).collect();
    assert!(commands.iter().any(|text| text.starts_with("test ci exec cargo xtask test")), "{commands:#?}");
    assert!(commands.iter().any(|text| text.starts_with("test runbook cargo xtask test")), "{commands:#?}");
    // What lies below `tests` is not taken for the project's own.
    assert!(
        found.topology.services.iter().all(|service| !service.path.starts_with("tests/layouts")),
        "{:?}",
        found.topology
    );
    let name = "discover::tree::tests::links_lead_nowhere";
    let found = discover(&root(), "perfmap", name).expect("its own test");
    assert_eq!((found.entry.kind, found.entry.file.as_str()), (EntryKind::Test, "perfmap/src/discover/tree.rs"));
    let TestCommand::Found(test) = &found.test else { panic!("{:?}", found.test) };
    assert_eq!(test.run.line(), format!("cargo test -p perfmap --lib {name} -- --exact --nocapture"));
}
