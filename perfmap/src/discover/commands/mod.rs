//! The files that say how a repository is worked with → its commands for tests, benchmarks, builds and servers, each with
//! the file and line that says it.

mod ci;
mod classify;
mod compose;
mod manifests;
mod runbooks;
pub mod settings;
mod tasks;

pub use classify::kind_of;
pub use settings::Settings;

use super::{
    found::{CommandKind, CommandSource, Evidence, FoundCommand, Stack},
    tree::Tree,
};

const MOST: usize = 400;
const LONGEST_LINE: usize = 400;

/// By kind, then by trust, each command once.
pub fn commands(tree: &Tree, settings: &Settings, stacks: &[Stack]) -> Vec<FoundCommand> {
    let mut found = settings.commands();
    found.extend(ci::commands(tree));
    found.extend(runbooks::commands(tree));
    found.extend(manifests::commands(tree, stacks));
    found.extend(tasks::commands(tree));
    found.extend(compose::commands(tree));
    found.sort();
    let mut kept: Vec<FoundCommand> = Vec::new();
    for command in found {
        let known = |other: &&FoundCommand| {
            (&other.line, &other.directory, other.kind) == (&command.line, &command.directory, command.kind)
        };
        if kept.len() < MOST && kept.iter().find(known).is_none() {
            kept.push(command);
        }
    }
    kept
}

/// A line that somebody wrote, if it is one of the commands that are looked for.
fn command(line: &str, source: CommandSource, directory: &str, evidence: Evidence) -> Option<FoundCommand> {
    let line = line.trim();
    if line.len() > LONGEST_LINE || line.chars().any(char::is_control) {
        return None;
    }
    Some(FoundCommand {
        kind: kind_of(line)?,
        source,
        line: line.to_owned(),
        directory: directory.to_owned(),
        evidence,
    })
}

/// Numbered from 1.
fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1_u32..).zip(text.lines())
}

/// What a script or target is called → what it does, for names that everybody uses so.
fn kind_by_name(name: &str) -> Option<CommandKind> {
    let words: Vec<&str> = name.split([':', '-', '_', '.']).collect();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    if has(&["clean", "watch", "lint", "fmt", "format", "install", "help", "deps", "down", "stop", "coverage"]) {
        None
    } else if has(&["e2e", "integration", "acceptance", "functional", "system"]) {
        Some(CommandKind::E2eTest)
    } else if has(&["bench", "benchmark", "benchmarks", "perf"]) {
        Some(CommandKind::Benchmark)
    } else if has(&["test", "tests", "check", "unit"]) {
        Some(CommandKind::Test)
    } else if has(&["build", "compile", "dist", "package"]) {
        Some(CommandKind::Build)
    } else if has(&["start", "serve", "run", "dev", "server", "up", "worker"]) {
        Some(CommandKind::Start)
    } else {
        None
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
