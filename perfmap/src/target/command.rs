//! What is to be run, and as whom.

use std::{ffi::OsString, path::PathBuf};

use super::{identity::Identity, output::Ends};

/// A command with everything decided: nothing of it is looked up later from perfmap's own surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// At least one element; the first is the program as typed.
    pub argv: Vec<OsString>,
    pub working_directory: PathBuf,
    /// None: runs with perfmap's own identity.
    pub identity: Option<Identity>,
    /// The complete environment, not a difference.
    pub environment: Vec<(OsString, OsString)>,
    /// Its standard output goes to our standard error, because ours carries data of our own.
    pub stdout_to_stderr: bool,
    /// Ends of a relay in place of our own streams; they must stay open until the command has begun.
    pub output: Option<Ends>,
}

impl Command {
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
