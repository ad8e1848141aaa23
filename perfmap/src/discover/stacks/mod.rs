//! The manifests, lock files and sources of a repository → its packages: language, what manages each, what tests it; and
//! what a test is, what it is called, and how one alone is run. One file for each language.

mod dotnet;
mod go;
mod java;
mod manifest;
mod node;
mod php;
mod python;
mod ruby;
mod rust;

pub use node::Package;
pub use python::{interpreter, module_of};
pub use rust::CargoManifest;

use std::collections::BTreeSet;

use super::{
    found::{Evidence, Language, Runnable, Stack, Tool},
    source::definitions::Definition,
    tree::{Tree, is_below, parent},
};

const MOST_STACKS: usize = 2000;

/// A function that a test runner runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// As its runner selects it: `Class::test_x`, `OrderTest.creates`, a sentence.
    pub name: String,
    pub line: u32,
    pub end: u32,
}

/// Sorted by directory, then language.
pub fn detect(tree: &Tree) -> Vec<Stack> {
    let members: BTreeSet<String> =
        rust::members(tree).into_iter().chain(node::members(tree)).chain(java::members(tree)).collect();
    let mut found: Vec<Stack> = Vec::new();
    for file in tree.files() {
        let directory = parent(file);
        if found.len() >= MOST_STACKS || (is_sample(directory) && !members.contains(directory)) {
            continue;
        }
        let stack = match super::tree::name(file) {
            "Cargo.toml" => rust::detect(tree, file),
            "package.json" => node::detect(tree, file),
            "go.mod" => go::detect(tree, file),
            "pom.xml" | "build.gradle" | "build.gradle.kts" => java::detect(tree, file),
            "Gemfile" => Some(ruby::detect(tree, file)),
            "composer.json" => Some(php::detect(tree, file)),
            name if name.ends_with(".csproj") || name.ends_with(".sln") => Some(dotnet::detect(tree, file)),
            name if python::is_manifest(name) => Some(python::detect(tree, file)),
            _ => None,
        };
        let Some(stack) = stack else { continue };
        // Of several manifests of one package the first in this order counts; each detector looks at all of them.
        if !found.iter().any(|known| known.directory == stack.directory && known.language == stack.language) {
            found.push(stack);
        }
    }
    found.extend(without_manifest(tree, &found));
    found.sort_by(|left, right| (&left.directory, left.language).cmp(&(&right.directory, right.language)));
    found
}

/// Sources of a language that no manifest tells of belong to a plain package at the root.
fn without_manifest(tree: &Tree, known: &[Stack]) -> Vec<Stack> {
    let mut found: Vec<Stack> = Vec::new();
    for file in tree.files() {
        let Some(language @ (Language::Python | Language::Node)) = Language::of(file) else { continue };
        let has = |stacks: &[Stack]| {
            stacks.iter().any(|stack| stack.language == language && is_below(file, &stack.directory))
        };
        if is_sample(parent(file)) || has(known) || has(&found) {
            continue;
        }
        found.push(match language {
            Language::Python => python::plain(tree, file),
            _ => node::plain(tree, file),
        });
    }
    found
}

/// Directories whose manifests are not the project's own, unless it names them.
pub fn is_sample(directory: &str) -> bool {
    const NAMES: [&str; 10] = [
        "tests",
        "test",
        "testdata",
        "fixtures",
        "__fixtures__",
        "examples",
        "example",
        "samples",
        "templates",
        "third_party",
    ];
    directory.split('/').any(|part| NAMES.contains(&part))
}

/// The package that a file belongs to: of its language, the innermost.
pub fn of_file<'a>(stacks: &'a [Stack], file: &str) -> Option<&'a Stack> {
    let language = Language::of(file)?;
    stacks
        .iter()
        .filter(|stack| stack.language == language && is_below(file, &stack.directory))
        .max_by_key(|stack| stack.directory.len())
}

pub fn is_test_file(path: &str) -> bool {
    match Language::of(path) {
        Some(Language::Python) => python::is_test_file(path),
        Some(Language::Node) => node::is_test_file(path),
        Some(Language::Go) => path.ends_with("_test.go"),
        Some(Language::Rust) => rust::is_test_file(path),
        Some(Language::Java) => java::is_test_file(path),
        Some(Language::DotNet | Language::Ruby | Language::Php) | None => false,
    }
}

/// Rust has unit tests beside the code.
pub fn may_hold_tests(path: &str) -> bool {
    is_test_file(path) || Language::of(path) == Some(Language::Rust)
}

pub fn cases(language: Language, path: &str, text: &str, definitions: &[Definition]) -> Vec<Case> {
    match language {
        Language::Python => python::cases(definitions),
        Language::Node => node::cases(text),
        Language::Go => go::cases(definitions),
        Language::Rust => rust::cases(path, text, definitions),
        Language::Java => java::cases(text, definitions),
        Language::DotNet | Language::Ruby | Language::Php => Vec::new(),
    }
}

/// The command that runs one test, or one file of tests.
pub fn run_test(tree: &Tree, stacks: &[Stack], stack: &Stack, file: &str, case: Option<&Case>) -> Option<Runnable> {
    match stack.language {
        Language::Python => Some(python::run_test(tree, stack, file, case)),
        Language::Node => Some(node::run_test(stack, file, case)),
        Language::Go => Some(go::run_test(stack, file, case)),
        Language::Rust => Some(rust::run_test(tree, stacks, stack, file, case)),
        Language::Java => Some(java::run_test(tree, stack, file, case)),
        Language::DotNet | Language::Ruby | Language::Php => None,
    }
}

/// The line of a test file that takes in the file that the entry lies in.
pub fn imports(stack: &Stack, test: &str, text: &str, entry: &str) -> Option<u32> {
    match stack.language {
        Language::Python => python::imports(stack, text, entry),
        Language::Node => node::imports(test, text, entry),
        Language::Go => (parent(test) == parent(entry)).then_some(1),
        Language::Rust => rust::imports(stack, test, text, entry),
        Language::Java => java::imports(test, text, entry),
        Language::DotNet | Language::Ruby | Language::Php => None,
    }
}

/// The words with the case's file relative to the directory that the command runs in.
fn inside<'a>(directory: &str, file: &'a str) -> &'a str {
    if directory.is_empty() {
        file
    } else {
        file.strip_prefix(directory).map_or(file, |rest| rest.trim_start_matches('/'))
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn tool(name: &'static str, evidence: Evidence) -> Tool {
    Tool { name, evidence }
}

#[cfg(test)]
#[path = "stacks_tests.rs"]
mod tests;
