//! Files of continuous integration → the commands in them. They are read line by line: a command stands behind `run:`,
//! `script:`, a dash, or alone on its line; what a matrix or a template makes of it is not evaluated.

use super::{command, numbered};
use crate::discover::{
    found::{CommandSource, Evidence, FoundCommand},
    tree::{Tree, extension, name, parent},
};

fn is_ci(path: &str) -> bool {
    let directory = parent(path);
    match name(path) {
        ".gitlab-ci.yml"
        | ".travis.yml"
        | "azure-pipelines.yml"
        | "bitbucket-pipelines.yml"
        | ".drone.yml"
        | "Jenkinsfile"
        | "appveyor.yml"
        | ".woodpecker.yml" => true,
        _ => match directory {
            ".github/workflows" | ".circleci" | ".buildkite" | ".gitlab" | ".woodpecker" | ".forgejo/workflows"
            | ".gitea/workflows" => matches!(extension(path), "yml" | "yaml"),
            ".ci" | "ci" | "scripts/ci" => matches!(extension(path), "" | "sh" | "yml" | "yaml"),
            _ => false,
        },
    }
}

pub fn commands(tree: &Tree) -> Vec<FoundCommand> {
    let mut found = Vec::new();
    for file in tree.files().filter(|file| is_ci(file)) {
        let text = tree.read(file).unwrap_or_default();
        let mut directory = String::new();
        for (number, line) in numbered(&text) {
            let code = line.trim();
            if code.starts_with('#') {
                continue;
            }
            if let Some(given) = code.strip_prefix("working-directory:") {
                // It may stand behind the step's command, or before; steps are separated by a dash.
                directory = plain_directory(given);
                mend(&mut found, file, &directory);
                continue;
            }
            if code.starts_with("- ") {
                directory.clear();
            }
            found.extend(command(command_of(code), CommandSource::Ci, &directory, Evidence::at(file, number)));
        }
    }
    found
}

/// `- run: npm test` → `npm test`; `sh 'make test'` → `make test`.
fn command_of(line: &str) -> &str {
    let mut rest = line.trim_start_matches("- ").trim();
    for key in ["run:", "script:", "command:", "- ", "sh "] {
        rest = rest.strip_prefix(key).unwrap_or(rest).trim();
    }
    let unquoted = ["\"", "'"].iter().find_map(|quote| rest.strip_prefix(quote)?.strip_suffix(quote));
    unquoted.unwrap_or(rest)
}

fn plain_directory(given: &str) -> String {
    let given = given.trim().trim_matches(['"', '\'']).trim_start_matches("./").trim_end_matches('/');
    if given == "." || given.starts_with('/') || given.contains("..") || given.contains("${") {
        String::new()
    } else {
        given.to_owned()
    }
}

/// The step's command was the line before.
fn mend(found: &mut [FoundCommand], file: &str, directory: &str) {
    if let Some(last) = found.last_mut().filter(|last| last.evidence.file == file && last.directory.is_empty()) {
        last.directory = directory.to_owned();
    }
}
