//! Go: modules and `go test`.

use super::{Case, inside, manifest::mentioned, tool, words};
use crate::discover::{
    found::{Evidence, Language, Runnable, Stack},
    source::definitions::Definition,
    tree::{Tree, parent},
};

pub fn detect(tree: &Tree, manifest: &str) -> Option<Stack> {
    let text = tree.read(manifest)?;
    let name = text.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim().to_owned();
    let known = [
        ("github.com/gin-gonic/gin", "gin"),
        ("github.com/labstack/echo", "echo"),
        ("github.com/go-chi/chi", "chi"),
        ("github.com/gorilla/mux", "gorilla"),
    ];
    let files = [manifest.to_owned()];
    let frameworks = known.into_iter().filter_map(|(path, name)| {
        let found = mentioned(tree, &files, &[path]).pop()?;
        Some(tool(name, found.evidence))
    });
    Some(Stack {
        language: Language::Go,
        directory: parent(manifest).to_owned(),
        manifest: Evidence::file(manifest),
        name: Some(name),
        manager: tool("go", Evidence::file(manifest)),
        test_tools: vec![tool("go test", Evidence::file(manifest))],
        frameworks: frameworks.collect(),
    })
}

pub fn cases(definitions: &[Definition]) -> Vec<Case> {
    let begins = |name: &str| {
        name.strip_prefix("Test").is_some_and(|rest| !rest.starts_with(char::is_lowercase)) && name != "TestMain"
    };
    let tests = definitions.iter().filter(|found| found.is_function() && begins(&found.qualified));
    tests.map(|found| Case { name: found.name.clone(), line: found.line, end: found.end }).collect()
}

/// `./internal/orders`, `.` for the module's own directory.
pub fn package_of(stack: &Stack, file: &str) -> String {
    match parent(inside(&stack.directory, file)) {
        "" => ".".to_owned(),
        directory => format!("./{directory}"),
    }
}

/// Without `-count=1` a test that passed is not run again.
pub fn run_test(stack: &Stack, file: &str, case: Option<&Case>) -> Runnable {
    let mut all = words(["go", "test", "-count=1"]);
    all.extend(case.map(|case| format!("-run=^{}$", case.name)));
    all.push(package_of(stack, file));
    Runnable { words: all, directory: stack.directory.clone() }
}
