//! Java: Maven and Gradle, JUnit. Build files are read by their lines, not evaluated: what a property, a parent outside of
//! the repository or a plugin decides is not seen.

use super::{
    Case, inside,
    manifest::{mention, upwards},
    tool, words,
};
use crate::discover::{
    found::{Evidence, Language, Runnable, Stack},
    source::{definitions::Definition, word_positions},
    tree::{Tree, join, name, parent, stem},
};

const BUILD_FILES: [&str; 3] = ["pom.xml", "build.gradle", "build.gradle.kts"];

/// `<module>x</module>` of a pom, `include("x")` of settings.gradle.
pub fn members(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files().filter(|file| !super::is_sample(parent(file))) {
        let text = match name(file) {
            "pom.xml" | "settings.gradle" | "settings.gradle.kts" => tree.read(file).unwrap_or_default(),
            _ => continue,
        };
        let modules = element_texts(&text, "module").into_iter().map(str::to_owned);
        let included = text.lines().filter(|line| line.trim_start().starts_with("include")).flat_map(|line| {
            let projects = crate::discover::source::strings::literals(line).into_iter();
            projects.map(|literal| literal.text.trim_start_matches(':').replace(':', "/")).collect::<Vec<_>>()
        });
        found.extend(modules.chain(included).map(|module| join(parent(file), &module)));
    }
    found
}

/// The texts of the elements of one name; nesting is not looked at.
fn element_texts<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.trim())).collect()
}

pub fn detect(tree: &Tree, manifest: &str) -> Option<Stack> {
    let text = tree.read(manifest)?;
    let directory = parent(manifest);
    let maven = name(manifest) == "pom.xml";
    let own_name = if maven {
        // The first artifactId outside of <parent> is the project's own.
        let own = text.split_once("</parent>").map_or(text.as_str(), |(_, rest)| rest);
        element_texts(own, "artifactId").first().map(|name| (*name).to_owned())
    } else {
        Some(name(directory)).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let above = upwards(tree, parent(directory), &BUILD_FILES).filter(|_| !directory.is_empty());
    let files: Vec<String> = std::iter::once(manifest.to_owned()).chain(above).collect();
    let junit = ["junit-jupiter", "junit.jupiter", "useJUnitPlatform", "spring-boot-starter-test", "junit"];
    let junit = junit.iter().find_map(|word| mention(tree, &files, word));
    let frameworks = [
        ("spring-boot-starter-web", "spring"),
        ("org.springframework.boot", "spring"),
        ("quarkus", "quarkus"),
        ("micronaut", "micronaut"),
    ];
    let mut found = Vec::new();
    for (word, name) in frameworks {
        let known = found.iter().any(|tool: &crate::discover::found::Tool| tool.name == name);
        found.extend(mention(tree, &files, word).filter(|_| !known).map(|evidence| tool(name, evidence)));
    }
    Some(Stack {
        language: Language::Java,
        directory: directory.to_owned(),
        manifest: Evidence::file(manifest),
        name: own_name,
        manager: tool(if maven { "maven" } else { "gradle" }, Evidence::file(manifest)),
        test_tools: vec![tool("junit", junit.unwrap_or(Evidence::file(manifest)))],
        frameworks: found,
    })
}

pub fn is_test_file(path: &str) -> bool {
    let stem = stem(path);
    path.ends_with(".java")
        && (["Test", "Tests", "IT", "TestCase"].iter().any(|end| stem.ends_with(end)) || stem.starts_with("Test"))
}

/// Methods behind `@Test` and its kind.
pub fn cases(text: &str, definitions: &[Definition]) -> Vec<Case> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |found: &Definition| {
        let above = lines.get(..found.line.saturating_sub(1) as usize).unwrap_or_default().iter().rev();
        let own = lines.get(found.line.saturating_sub(1) as usize).into_iter();
        let annotations = above.take_while(|line| line.trim_start().starts_with('@')).take(8);
        own.chain(annotations)
            .any(|line| ["@Test", "@ParameterizedTest", "@RepeatedTest"].iter().any(|mark| line.contains(mark)))
    };
    let tests = definitions.iter().filter(|found| found.is_function() && is_test(found));
    tests.map(|found| Case { name: found.qualified.clone(), line: found.line, end: found.end }).collect()
}

/// The package that a file declares, or that its path says.
fn package_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix("package ")).map(|rest| rest.trim_end_matches(';').trim())
}

pub fn run_test(tree: &Tree, stack: &Stack, file: &str, case: Option<&Case>) -> Runnable {
    // `Outer.method`; classes inside of others are joined with $, which few write: the outermost is taken whole.
    let (class, method) = case.map_or((stem(file), None), |case| match case.name.rsplit_once('.') {
        Some((class, method)) if !class.contains('.') => (class, Some(method)),
        Some(_) | None => (stem(file), None),
    });
    let maven = stack.manager.name == "maven";
    let wrapper = upwards(tree, &stack.directory, &[if maven { "mvnw" } else { "gradlew" }]);
    // From where the wrapper lies the whole build is seen, and a module is named within it.
    let settings = if maven {
        top_pom(tree, &stack.directory)
    } else {
        upwards(tree, &stack.directory, &["settings.gradle", "settings.gradle.kts"])
    };
    let from = wrapper.as_deref().or(settings.as_deref()).map_or(stack.directory.as_str(), parent).to_owned();
    let module = inside(&from, &stack.directory).to_owned();
    let module = if stack.directory == from { String::new() } else { module };
    let program = match (&wrapper, maven) {
        (Some(_), true) => "./mvnw",
        (Some(_), false) => "./gradlew",
        (None, true) => "mvn",
        (None, false) => "gradle",
    };
    let selected = |joint: &str| method.map_or(class.to_owned(), |method| format!("{class}{joint}{method}"));
    let all = if maven {
        let mut all = words([program, "-q"]);
        if !module.is_empty() {
            all.extend([
                "-pl".to_owned(),
                module,
                "-am".to_owned(),
                "-Dsurefire.failIfNoSpecifiedTests=false".to_owned(),
            ]);
        }
        // Integration tests are failsafe's, by their names.
        let (property, phase) = if stem(file).ends_with("IT") { ("it.test", "verify") } else { ("test", "test") };
        all.extend([format!("-D{property}={}", selected("#")), phase.to_owned()]);
        all
    } else {
        let package = tree.read(file).and_then(|text| package_of(&text).map(str::to_owned));
        let selected = package.map_or(selected("."), |package| format!("{package}.{}", selected(".")));
        let project = if module.is_empty() { String::new() } else { format!(":{}:", module.replace('/', ":")) };
        // A test that passed is not run again unless its result is cleaned away.
        vec![program.to_owned(), format!("{project}cleanTest"), format!("{project}test"), "--tests".into(), selected]
    };
    Runnable { words: all, directory: from }
}

fn top_pom(tree: &Tree, directory: &str) -> Option<String> {
    let mut here = directory;
    let mut found = None;
    loop {
        let pom = join(here, "pom.xml");
        if tree.has(&pom) {
            found = Some(pom);
        }
        if here.is_empty() {
            return found;
        }
        here = parent(here);
    }
}

/// The class of the entry's file: imported, or of the same package and named.
pub fn imports(test: &str, text: &str, entry: &str) -> Option<u32> {
    let class = stem(entry);
    let path = |file: &str| parent(file).split_once("java/").map(|(_, package)| package.to_owned());
    let neighbour = path(test).is_some() && path(test) == path(entry);
    let package = path(entry).unwrap_or_default().replace('/', ".");
    let import = format!("import {package}.{class};");
    let takes = |line: &str| line.trim() == import || (neighbour && word_positions(line, class).next().is_some());
    text.lines().position(takes).and_then(|at| u32::try_from(at + 1).ok())
}
