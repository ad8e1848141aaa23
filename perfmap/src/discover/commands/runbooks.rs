//! README, CONTRIBUTING and their kind → the commands in their code blocks.

use super::{command, numbered};
use crate::discover::{
    found::{CommandSource, Evidence, FoundCommand},
    tree::{Tree, extension, parent, stem},
};

fn is_runbook(path: &str) -> bool {
    let known = ["readme", "contributing", "development", "developing", "hacking", "runbook", "testing", "makefile"];
    let stem = stem(path).to_ascii_lowercase();
    let marked = known.iter().any(|name| stem == *name);
    let placed =
        !parent(path).contains('/') || parent(path).split('/').any(|part| part == "docs" || part == "runbooks");
    matches!(extension(path), "md" | "rst" | "txt" | "adoc")
        && marked
        && placed
        && !crate::discover::stacks::is_sample(parent(path))
}

pub fn commands(tree: &Tree) -> Vec<FoundCommand> {
    let mut found = Vec::new();
    for file in tree.files().filter(|file| is_runbook(file)) {
        let text = tree.read(file).unwrap_or_default();
        let mut fenced = false;
        for (number, line) in numbered(&text) {
            let code = line.trim();
            if code.starts_with("```") || code.starts_with("~~~") || code == "----" {
                fenced = !fenced;
                continue;
            }
            // In reStructuredText and old Markdown a block is what is indented.
            if !fenced && !line.starts_with("    ") {
                continue;
            }
            let code = code.strip_prefix("$ ").or_else(|| code.strip_prefix("% ")).unwrap_or(code);
            if !code.contains("...") && !code.contains('…') {
                let directory = if tree.has(file) { parent(file) } else { "" };
                let directory = if directory.split('/').any(|part| part == "docs") { "" } else { directory };
                found.extend(command(code, CommandSource::Runbook, directory, Evidence::at(file, number)));
            }
        }
    }
    found
}
