//! A target's name and the repository around it → where it is entered, what it is called with, what its source calls.
//!
//! Reads files of the repository and runs nothing. What it finds goes into the recording (`recording::Source`). All that
//! is read is somebody else's: `tree` bounds it and follows no link, and all text scanners are total.

pub mod chain;
mod commands;
mod e2e;
mod entry;
pub mod found;
mod names;
mod script;
mod services;
mod source;
mod stacks;
pub mod target;
pub mod topology;
pub mod tree;

pub use commands::settings::SettingsError;
pub use script::{NAME as SCRIPT_NAME, shell};

use std::path::Path;

use commands::{Settings, commands};
use entry::{Entry, How, Repository};
use found::{Discovery, Evidence, FoundTest, NoBenchmark, Runnable, TestCommand, Warning};
use tree::{Tree, TreeError};

use crate::recording::{E2eTest, Source, TestSource};

#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("file/function not found at {at}")]
    NotFound { at: String, nearest: Vec<String> },
    #[error("{file} is no source that can be read: of another language, larger than 1 MiB, or no text")]
    NotRead { file: String },
}

/// `near`: where the user stands, relative to the root.
pub fn discover(root: &Path, near: &str, typed: &str) -> Result<Discovery, DiscoverError> {
    let tree = Tree::open(root)?;
    let settings = Settings::read(&tree)?;
    let stacks = stacks::detect(&tree);
    let topology = services::services(&tree, &stacks);
    let index = chain::Index::build(root, &topology);
    let repository = Repository { tree: &tree, stacks: &stacks, near, index: &index };
    // A path below the root may be typed whole.
    let root_text = root.to_string_lossy();
    let inside = typed.strip_prefix(root_text.as_ref()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(typed);
    let entry = repository.resolve(&target::parse(inside))?;
    let commands = commands(&tree, &settings, &stacks);
    let found = existing_test(&repository, &entry);
    let e2e_test = given(settings.e2e()).or_else(|| found.clone());
    let mut warnings = entry.warnings.clone();
    let known =
        script::Known { repository: &repository, commands: &commands, topology: &topology, root: &root_text, typed };
    let test = match given(settings.of_target(typed)).or(found) {
        Some(test) => TestCommand::Found(test),
        None => match script::script(&known, &entry) {
            Ok(script) => TestCommand::Generated(script),
            Err(why) => TestCommand::None(why),
        },
    };
    if e2e_test.is_none() {
        warnings.push(Warning::NoEndToEndTest);
    }
    if tree.truncated() {
        warnings.push(Warning::TooManyFiles);
    }
    warnings.extend(index.notes().iter().map(|note| Warning::SourcesLeftOut { note: note.clone() }));
    let Entry { point, .. } = entry;
    let followed = index.follow(&point);
    let target = typed.to_owned();
    Ok(Discovery { target, entry: point, stacks, commands, topology, test, e2e_test, followed, warnings })
}

/// A target that is a test is its own; the user named it.
fn existing_test(repository: &Repository<'_>, entry: &Entry) -> Option<FoundTest> {
    let How::Test(case) = &entry.how else { return e2e::find(repository, entry) };
    let file = &entry.point.file;
    let stack = stacks::of_file(repository.stacks, file)?;
    let run = stacks::run_test(repository.tree, repository.stacks, stack, file, Some(case))?;
    Some(FoundTest { run, source: TestSource::User, evidence: Evidence::at(file.clone(), case.line) })
}

/// A line of perfmap.toml; one that needs a shell gets one.
fn given(line: Option<(&str, Evidence)>) -> Option<FoundTest> {
    let (line, evidence) = line?;
    let words = shell::words(line).unwrap_or_else(|| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()]);
    Some(FoundTest { run: Runnable { words, directory: String::new() }, source: TestSource::User, evidence })
}

/// What of it goes into the recording.
pub fn source(found: &Discovery) -> Source {
    let e2e_test = match &found.e2e_test {
        Some(test) => E2eTest { command: Some(test.run.line()), source: test.source },
        None => E2eTest { command: None, source: TestSource::None },
    };
    let chain::Followed { chain, findings, unresolved } = found.followed.clone();
    Source { entry: Some(found.entry.clone()), e2e_test: Some(e2e_test), chain, findings, unresolved }
}

/// Why there is no command, for who wants to give one.
pub fn no_command(found: &Discovery) -> Option<NoBenchmark> {
    match &found.test {
        TestCommand::None(why) => Some(*why),
        TestCommand::Found(_) | TestCommand::Generated(_) => None,
    }
}

#[cfg(test)]
mod layouts_tests;
