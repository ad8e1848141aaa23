//! The scripts of package manifests, and what is usual for a package where nothing else is said.

use super::{MOST, kind_by_name, kind_of, numbered};
use crate::discover::{
    found::{CommandKind, CommandSource, Evidence, FoundCommand, Language, Stack},
    stacks::Package,
    tree::{Tree, join},
};

pub fn commands(tree: &Tree, stacks: &[Stack]) -> Vec<FoundCommand> {
    let mut found = Vec::new();
    for stack in stacks.iter().take(MOST) {
        match stack.language {
            Language::Node => found.extend(scripts(tree, stack)),
            Language::Python => found.extend(tasks(tree, stack)),
            _ => {}
        }
        if let Some((line, kind)) = usual(stack) {
            let source = CommandSource::Convention;
            let evidence = stack.test_tools.first().map_or(stack.manifest.clone(), |tool| tool.evidence.clone());
            found.push(FoundCommand { kind, source, line, directory: stack.directory.clone(), evidence });
        }
    }
    found
}

fn scripts(tree: &Tree, stack: &Stack) -> Vec<FoundCommand> {
    let file = &stack.manifest.file;
    let (Some(package), Some(text)) = (Package::read(tree, file), tree.read(file)) else { return Vec::new() };
    let line_of = |name: &str| {
        let quoted = format!("\"{name}\"");
        let at = text.find("\"scripts\"").and_then(|from| Some(from + text.get(from..)?.find(&quoted)?));
        at.map_or(0, |at| crate::discover::source::line_of(&text, at))
    };
    let named = package.scripts.keys().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    named
        .filter_map(|name| {
            let body = package.script(name)?;
            if name.starts_with("pre") || name.starts_with("post") {
                return None;
            }
            let kind = kind_by_name(name).or_else(|| kind_of(body).filter(|kind| *kind != CommandKind::Build))?;
            let line = match (stack.manager.name, name.as_str()) {
                (manager, "test") => format!("{manager} test"),
                (manager, name) => format!("{manager} run {name}"),
            };
            let evidence = Evidence::at(file.clone(), line_of(name));
            Some(FoundCommand {
                kind,
                source: CommandSource::Manifest,
                line,
                directory: stack.directory.clone(),
                evidence,
            })
        })
        .collect()
}

/// Tasks of poe, pdm, hatch: lines like `test = "pytest"` in their tables.
fn tasks(tree: &Tree, stack: &Stack) -> Vec<FoundCommand> {
    let file = join(&stack.directory, "pyproject.toml");
    let text = tree.read(&file).unwrap_or_default();
    let mut program = "";
    let mut found = Vec::new();
    for (number, line) in numbered(&text) {
        if line.starts_with('[') {
            program = match line.trim() {
                "[tool.poe.tasks]" => "poe",
                "[tool.pdm.scripts]" => "pdm run",
                table if table.starts_with("[tool.hatch.envs.") && table.ends_with(".scripts]") => "hatch run",
                _ => "",
            };
        } else if let (false, Some((name, _))) = (program.is_empty(), line.split_once('=')) {
            let name = name.trim().trim_matches('"');
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':'));
            if let (true, Some(kind)) = (plain, kind_by_name(name)) {
                let (source, evidence) = (CommandSource::Manifest, Evidence::at(file.clone(), number));
                let line = format!("{program} {name}");
                found.push(FoundCommand { kind, source, line, directory: stack.directory.clone(), evidence });
            }
        }
    }
    found
}

fn usual(stack: &Stack) -> Option<(String, CommandKind)> {
    let first = stack.test_tools.first()?.name;
    let managed = |words: &str| match stack.manager.name {
        manager @ ("uv" | "poetry" | "pdm" | "hatch" | "pipenv") => format!("{manager} run {words}"),
        ".venv" | "venv" => format!("{}/bin/python -m {words}", stack.manager.name),
        _ => format!("python3 -m {words}"),
    };
    let line = match stack.language {
        Language::Python if first == "manage.py" => managed("manage.py test").replace(" -m manage", " manage"),
        Language::Python => managed(first),
        Language::Go => "go test ./...".to_owned(),
        Language::Rust if first == "nextest" => "cargo nextest run".to_owned(),
        Language::Rust => "cargo test".to_owned(),
        Language::Java if stack.manager.name == "maven" => "mvn test".to_owned(),
        Language::Java => "gradle test".to_owned(),
        Language::DotNet => "dotnet test".to_owned(),
        Language::Ruby => format!("bundle exec {first}"),
        Language::Php => "vendor/bin/phpunit".to_owned(),
        // Its scripts say it, or nothing does.
        Language::Node => return None,
    };
    Some((line, CommandKind::Test))
}
