//! (placeholder of the interface)

use crate::{analyze::Analysis, map::Map, recording::Recording, resolve::Resolved};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
}

/// One file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub struct TerminalOptions {
    pub width: usize,
    pub colour: bool,
    pub verbose: bool,
}

pub fn render(_: &Recording, _: &Resolved, _: &Map, _: &Analysis, _: Format) -> Vec<OutputFile> {
    Vec::new()
}

pub fn terminal(_: &Recording, _: &Map, _: &Analysis, _: &TerminalOptions) -> String {
    String::new()
}
