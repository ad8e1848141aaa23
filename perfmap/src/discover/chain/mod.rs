//! A repository's source → where a target is entered and what is called from there, before anything runs.
//!
//! All files are parsed once into an [`Index`]; [`Index::entry`] finds the place that a user names, [`Index::follow`]
//! walks the calls from it. What cannot be resolved is said. Nothing is executed, and no source can make it run long.

mod entry;
mod extract;
mod facts;
mod find;
mod follow;
mod index;
mod language;
#[cfg(test)]
mod laws;
mod look;
mod modules;
mod parse;
mod routes;
mod table;
#[cfg(test)]
mod tests;
mod url;
mod walk;

pub use entry::Answering;
pub use index::Index;
pub use language::Language;

use crate::recording::{SourceFinding, SourceStep};

/// What the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `path/file.py::name`, `module:name`, or a name alone; the name may have its class before it.
    Function {
        file: Option<String>,
        module: Option<String>,
        name: String,
    },
    Line {
        file: String,
        line: u32,
    },
    Route {
        method: Option<String>,
        path: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such function, line or route in the source")]
pub struct NotFound {
    /// What was meant most nearly, best first; empty where nothing is near.
    pub nearest: Vec<String>,
}

/// What the source does from an entry point on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// The entry first, then depth first in the order of the calls.
    pub chain: Vec<SourceStep>,
    /// Sorted by file and line.
    pub findings: Vec<SourceFinding>,
    /// What could not be followed, and why; bounded.
    pub unresolved: Vec<String>,
}

/// Any bytes as one source file of a language, for fuzzing: how many functions were seen.
pub fn read_source(language: Language, text: &[u8]) -> usize {
    let facts = parse::Parsers::default().read(language, text, extract::Detail::Everything).unwrap_or_default();
    let table = routes::of(language, &facts);
    facts.functions.len() + table.routes.len()
}

/// All languages that are read.
pub const LANGUAGES: [Language; 8] = Language::ALL;
