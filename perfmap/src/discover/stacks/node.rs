//! Node: npm, pnpm, yarn, bun; jest, vitest, mocha, ava, node's own runner.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Case, inside,
    manifest::{directories, mention, mentioned, upwards},
    tool, words,
};
use crate::discover::{
    found::{Evidence, Language, Runnable, Stack, Tool},
    source::strings::literals,
    tree::{Tree, join, name, parent},
};

const FRAMEWORKS: [&str; 9] =
    ["express", "fastify", "koa", "hono", "next", "@nestjs/core", "bullmq", "amqplib", "kafkajs"];

/// package.json, as far as it is needed. What has another shape than expected counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Package {
    pub name: Option<String>,
    pub main: Option<String>,
    pub scripts: BTreeMap<String, serde_json::Value>,
    dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(rename = "devDependencies")]
    dev_dependencies: BTreeMap<String, serde_json::Value>,
    workspaces: serde_json::Value,
    #[serde(rename = "packageManager")]
    manager: Option<String>,
}

impl Package {
    pub fn read(tree: &Tree, file: &str) -> Option<Package> {
        serde_json::from_str(&tree.read(file)?).ok()
    }

    pub fn script(&self, name: &str) -> Option<&str> {
        self.scripts.get(name)?.as_str()
    }
}

/// The directories that `workspaces` of package.json or pnpm-workspace.yaml name.
pub fn members(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files().filter(|file| !super::is_sample(parent(file))) {
        let patterns = match name(file) {
            "package.json" => workspaces(tree, file),
            "pnpm-workspace.yaml" => pnpm(tree, file),
            _ => Vec::new(),
        };
        if !patterns.is_empty() {
            found.extend(directories(tree, parent(file), &patterns, "package.json"));
        }
    }
    found
}

fn workspaces(tree: &Tree, file: &str) -> Vec<String> {
    let Some(Package { workspaces, .. }) = Package::read(tree, file) else { return Vec::new() };
    let list = workspaces.get("packages").unwrap_or(&workspaces).as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|pattern| pattern.as_str().map(str::to_owned)).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PnpmWorkspace {
    packages: Vec<String>,
}

fn pnpm(tree: &Tree, file: &str) -> Vec<String> {
    let text = tree.read(file).unwrap_or_default();
    serde_yaml::from_str::<PnpmWorkspace>(&text).unwrap_or_default().packages
}

pub fn detect(tree: &Tree, manifest: &str) -> Option<Stack> {
    let package = Package::read(tree, manifest)?;
    let directory = parent(manifest);
    // A package of a workspace may leave its test tool to the root.
    let files: Vec<String> = std::iter::once(manifest.to_owned())
        .chain(upwards(tree, parent(directory), &["package.json"]).filter(|_| !directory.is_empty()))
        .collect();
    Some(Stack {
        language: Language::Node,
        directory: directory.to_owned(),
        manifest: Evidence::file(manifest),
        manager: manager(tree, directory, &package),
        test_tools: test_tools(tree, directory, &package, &files),
        frameworks: mentioned(tree, &files[..1], &FRAMEWORKS)
            .into_iter()
            .filter(|found| {
                package.dependencies.contains_key(found.name) || package.dev_dependencies.contains_key(found.name)
            })
            .collect(),
        name: package.name,
    })
}

pub fn plain(tree: &Tree, file: &str) -> Stack {
    let evidence = Evidence::file(file);
    Stack {
        language: Language::Node,
        directory: String::new(),
        manifest: evidence.clone(),
        name: None,
        manager: manager(tree, "", &Package::default()),
        test_tools: vec![tool("node:test", evidence)],
        frameworks: Vec::new(),
    }
}

fn manager(tree: &Tree, directory: &str, package: &Package) -> Tool {
    let named = ["pnpm", "yarn", "bun", "npm"]
        .into_iter()
        .find(|name| package.manager.as_deref().is_some_and(|manager| manager.split('@').next() == Some(name)));
    if let Some(name) = named {
        let file = join(directory, "package.json");
        let evidence = mention(tree, std::slice::from_ref(&file), "packageManager").unwrap_or(Evidence::file(file));
        return tool(name, evidence);
    }
    let locks = [
        ("pnpm", "pnpm-lock.yaml"),
        ("yarn", "yarn.lock"),
        ("bun", "bun.lock"),
        ("bun", "bun.lockb"),
        ("npm", "package-lock.json"),
        ("pnpm", "pnpm-workspace.yaml"),
    ];
    let found = locks.into_iter().find_map(|(name, lock)| Some((name, upwards(tree, directory, &[lock])?)));
    let (name, file) = found.unwrap_or_else(|| ("npm", join(directory, "package.json")));
    tool(name, Evidence::file(file))
}

fn test_tools(tree: &Tree, directory: &str, package: &Package, files: &[String]) -> Vec<Tool> {
    let scripts: String = package.scripts.values().filter_map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
    let own = files.first().cloned().unwrap_or_else(|| join(directory, "package.json"));
    let at = |word: &str| mention(tree, std::slice::from_ref(&own), word).unwrap_or(Evidence::file(own.clone()));
    let in_scripts = |word: &str| scripts.split(|c: char| c.is_whitespace() || c == '/').any(|part| part == word);
    let runners = ["vitest", "jest", "mocha", "ava"];
    // What a script runs comes before what is only installed.
    let mut found: Vec<Tool> =
        runners.into_iter().filter(|name| in_scripts(name)).map(|name| tool(name, at(name))).collect();
    if scripts.contains("node --test") || scripts.contains("--test ") {
        found.push(tool("node:test", at("--test")));
    }
    for runner in mentioned(tree, files, &runners) {
        if !found.iter().any(|known| known.name == runner.name) {
            found.push(runner);
        }
    }
    if found.is_empty() {
        found.push(tool("node:test", Evidence::file(own)));
    }
    found
}

pub fn is_test_file(path: &str) -> bool {
    let name = name(path);
    let marked = name.contains(".test.") || name.contains(".spec.") || name.contains("-spec.") || name.contains("e2e-");
    let placed = parent(path).split('/').any(|part| matches!(part, "__tests__" | "test" | "tests" | "e2e"));
    Language::of(path) == Some(Language::Node) && !name.ends_with(".d.ts") && (marked || placed)
}

/// `it('…')` and `test('…')`; each ends where the next begins.
pub fn cases(text: &str) -> Vec<Case> {
    let named = literals(text)
        .into_iter()
        .filter(|literal| matches!(literal.callee, "it" | "test") && !literal.text.is_empty());
    let mut found: Vec<Case> =
        named.map(|literal| Case { name: literal.text.to_owned(), line: literal.line, end: u32::MAX }).collect();
    let next: Vec<u32> = found.iter().skip(1).map(|case| case.line.saturating_sub(1)).collect();
    for (case, end) in found.iter_mut().zip(next) {
        case.end = end.max(case.line);
    }
    found
}

/// The words before a package's program.
pub fn launcher(stack: &Stack) -> Vec<String> {
    match stack.manager.name {
        "pnpm" => words(["pnpm", "exec"]),
        "yarn" => words(["yarn"]),
        "bun" => words(["bunx"]),
        _ => words(["npx"]),
    }
}

pub fn run_test(stack: &Stack, file: &str, case: Option<&Case>) -> Runnable {
    let file = inside(&stack.directory, file).to_owned();
    let runner = stack.test_tools.first().map_or("node:test", |tool| tool.name);
    let (start, select) = match runner {
        "vitest" => (words(["vitest", "run"]), "-t"),
        "jest" => (words(["jest"]), "-t"),
        "mocha" => (words(["mocha"]), "-g"),
        "ava" => (words(["ava"]), "--match"),
        _ => {
            let selected = case.map(|case| format!("--test-name-pattern={}", escaped(&case.name)));
            let all = words(["node", "--test"]).into_iter().chain(selected).chain([file]).collect();
            return Runnable { words: all, directory: stack.directory.clone() };
        }
    };
    let mut all = [launcher(stack), start, vec![file]].concat();
    if let Some(case) = case {
        let name = if runner == "ava" { case.name.clone() } else { escaped(&case.name) };
        all.extend([select.to_owned(), name]);
    }
    Runnable { words: all, directory: stack.directory.clone() }
}

/// The runners take a regular expression.
fn escaped(name: &str) -> String {
    let mut made = String::new();
    for character in name.chars() {
        if "\\^$.|?*+()[]{}/".contains(character) {
            made.push('\\');
        }
        made.push(character);
    }
    made
}

/// A relative path in `import`, `require` or a mock that leads to the entry's file.
pub fn imports(test: &str, text: &str, entry: &str) -> Option<u32> {
    let plain = entry.rsplit_once('.').map_or(entry, |(front, _)| front);
    let index = plain.strip_suffix("/index").unwrap_or(plain);
    literals(text).into_iter().filter(|literal| literal.text.starts_with('.')).find_map(|literal| {
        let path = resolved(parent(test), literal.text)?;
        let bare = [".js", ".ts", ".mjs", ".cjs"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(&path);
        (bare == plain || bare == index || path == entry).then_some(literal.line)
    })
}

fn resolved(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
