//! Rust: cargo's packages and workspaces; cargo test, nextest, criterion.

use serde::Deserialize;

use super::{
    Case, inside,
    manifest::{directories, mention, mentioned},
    tool, words,
};
use crate::discover::{
    found::{Evidence, Language, Runnable, Stack},
    source::{definitions::Definition, line_of, word_positions},
    tree::{Tree, is_below, join, name, parent},
};

const FRAMEWORKS: [&str; 8] = ["axum", "actix-web", "rocket", "warp", "hyper", "tonic", "clap", "tokio"];

/// Cargo.toml, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CargoManifest {
    pub package: Option<PackageTable>,
    pub workspace: Option<Workspace>,
    pub test: Vec<Target>,
    pub bench: Vec<Target>,
    pub bin: Vec<Target>,
    pub lib: Option<Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PackageTable {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Workspace {
    pub members: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    pub name: Option<String>,
    pub path: Option<String>,
}

impl CargoManifest {
    pub fn read(tree: &Tree, file: &str) -> Option<CargoManifest> {
        toml::from_str(&tree.read(file)?).ok()
    }
}

pub fn members(tree: &Tree) -> Vec<String> {
    let manifests = tree.files().filter(|file| name(file) == "Cargo.toml" && !super::is_sample(parent(file)));
    manifests
        .filter_map(|file| {
            let members = CargoManifest::read(tree, file)?.workspace?.members;
            Some(directories(tree, parent(file), &members, "Cargo.toml"))
        })
        .flatten()
        .collect()
}

pub fn detect(tree: &Tree, manifest: &str) -> Option<Stack> {
    let read = CargoManifest::read(tree, manifest)?;
    let directory = parent(manifest);
    let own = [manifest.to_owned()];
    let nextest = [join(directory, ".config/nextest.toml"), ".config/nextest.toml".to_owned()];
    let nextest = nextest.into_iter().find(|file| tree.has(file)).map(|file| tool("nextest", Evidence::file(file)));
    let criterion = mention(tree, &own, "criterion").map(|evidence| tool("criterion", evidence));
    let cargo = tool("cargo test", Evidence::file(manifest));
    Some(Stack {
        language: Language::Rust,
        directory: directory.to_owned(),
        manifest: Evidence::file(manifest),
        name: read.package.map(|package| package.name),
        manager: tool("cargo", Evidence::file(manifest)),
        test_tools: nextest.into_iter().chain([cargo]).chain(criterion).collect(),
        frameworks: mentioned(tree, &own, &FRAMEWORKS),
    })
}

/// Those of `tests/`; unit tests lie in any file.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with(".rs") && (parent(path).split('/').any(|part| part == "tests") || name(path) == "tests.rs")
}

/// Functions behind `#[test]`, `#[tokio::test]` and their kind; named with the modules of their file around them.
pub fn cases(path: &str, text: &str, definitions: &[Definition]) -> Vec<Case> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |found: &Definition| {
        let above = lines.get(..found.line.saturating_sub(1) as usize).unwrap_or_default().iter().rev();
        above.take_while(|line| !line.trim().is_empty() && !line.trim_start().starts_with('}')).take(6).any(|line| {
            let line = line.trim();
            line.starts_with("#[") && word_positions(line, "test").next().is_some() && !line.starts_with("#[cfg")
        })
    };
    let tests = definitions.iter().filter(|found| found.is_function() && is_test(found));
    let module = module_of(path);
    tests
        .map(|found| {
            let name =
                if module.is_empty() { found.qualified.clone() } else { format!("{module}::{}", found.qualified) };
            Case { name, line: found.line, end: found.end }
        })
        .collect()
}

/// `report::slug` of `x/src/report/slug.rs`; of an integration test the part below `tests/`, without its first.
fn module_of(path: &str) -> String {
    let plain = path.strip_suffix(".rs").unwrap_or(path);
    let below = |directory: &str| {
        let middle = format!("/{directory}/");
        let at = plain.rfind(&middle).map(|at| at + middle.len());
        at.or_else(|| plain.starts_with(&middle[1..]).then_some(middle.len() - 1))
    };
    let (rest, skip) = match (below("src"), below("tests")) {
        (Some(at), _) => (plain.get(at..).unwrap_or_default(), 0),
        (None, Some(at)) => (plain.get(at..).unwrap_or_default(), 1),
        (None, None) => return String::new(),
    };
    let parts: Vec<&str> = rest.split('/').skip(skip).filter(|part| !matches!(*part, "lib" | "main" | "mod")).collect();
    parts.join("::")
}

pub fn run_test(tree: &Tree, stacks: &[Stack], stack: &Stack, file: &str, case: Option<&Case>) -> Runnable {
    let read = CargoManifest::read(tree, &stack.manifest.file).unwrap_or_default();
    let mut select = Vec::new();
    // Several packages below one workspace: which one must be said, and it is run from the workspace's root.
    let root = stacks
        .iter()
        .filter(|other| other.language == Language::Rust && other.directory.len() < stack.directory.len())
        .find(|other| is_below(&stack.directory, &other.directory) && is_workspace(tree, other));
    if let (Some(_), Some(name)) = (root, &stack.name) {
        select.extend(["-p".to_owned(), name.clone()]);
    }
    let inside = inside(&stack.directory, file);
    match target_of(&read, inside) {
        Some(name) => select.extend(["--test".to_owned(), name]),
        None if inside.starts_with("src/") && tree.has(&join(&stack.directory, "src/lib.rs")) => {
            select.push("--lib".into())
        }
        None => {}
    }
    let nextest = stack.test_tools.iter().any(|tool| tool.name == "nextest");
    let name = case.map(|case| case.name.clone());
    let all = if nextest {
        let filter = name.map(|name| ["-E".to_owned(), format!("test(={name})")]);
        [words(["cargo", "nextest", "run"]), select, filter.into_iter().flatten().collect()].concat()
    } else {
        let exact = name.map(|name| [name, "--".into(), "--exact".into(), "--nocapture".into()]);
        // All tests of a file beside the code are those of its module.
        let of_module = (exact.is_none() && inside.starts_with("src/")).then(|| module_of(file));
        [words(["cargo", "test"]), select, exact.into_iter().flatten().chain(of_module).collect()].concat()
    };
    Runnable { words: all, directory: root.map_or(&stack.directory, |root| &root.directory).clone() }
}

fn is_workspace(tree: &Tree, stack: &Stack) -> bool {
    CargoManifest::read(tree, &stack.manifest.file).is_some_and(|read| read.workspace.is_some())
}

/// The program of tests that a file belongs to: named in the manifest, or by the way of `tests/`.
fn target_of(read: &CargoManifest, inside: &str) -> Option<String> {
    let declared = read.test.iter().find(|target| {
        target.path.as_deref().is_some_and(|path| {
            let home = parent(path);
            path == inside || (!home.is_empty() && is_below(inside, home) && home != "tests")
        })
    });
    if let Some(name) = declared.and_then(|target| target.name.clone()) {
        return Some(name);
    }
    let rest = inside.strip_prefix("tests/")?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first).to_owned())
}

/// `use the_crate::orders::…` in an integration test; tests in the entry's own file know it anyway.
pub fn imports(stack: &Stack, test: &str, text: &str, entry: &str) -> Option<u32> {
    if test == entry {
        return word_positions(text, "mod tests").next().map(|at| line_of(text, at));
    }
    let module = module_of(entry);
    let package = stack.name.as_deref().unwrap_or("crate").replace('-', "_");
    let of_crate = [package.as_str(), "crate"].into_iter();
    let paths: Vec<String> = of_crate
        .map(|package| if module.is_empty() { package.to_owned() } else { format!("{package}::{module}") })
        .collect();
    let takes = |line: &str| {
        line.trim_start().starts_with("use ") && paths.iter().any(|path| word_positions(line, path).next().is_some())
    };
    text.lines().position(takes).and_then(|at| u32::try_from(at + 1).ok())
}
