//! Addresses → places: every stack of a recording as one list of named places, interpreter frames put where they
//! belong. Pure: needs no files (the names of native frames are in the recording, see [`native`]).

mod go;
mod java_sources;
mod jit;
mod merge;
pub mod native;
mod places;
mod project;

pub(crate) use jit::ANONYMOUS;
pub(crate) use project::is_project_program;

use crate::recording::{Recording, StackId, Unnamed};

/// Index into [`Resolved::places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Native,
    Python,
    Kernel,
    Jit,
}

/// One function at one line, as a person would name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Qualified name as the language writes it; `libc.so.6+0x3f9c1` where `unnamed` says why there is none.
    pub function: String,
    /// Source file, absolute where known.
    pub file: Option<String>,
    /// Line that was executing.
    pub line: Option<u32>,
    /// Line where the function begins.
    pub first_line: Option<u32>,
    pub language: Language,
    /// Path of the mapped file, for native places.
    pub module: Option<String>,
    pub inlined: bool,
    pub unnamed: Option<Unnamed>,
}

/// All stacks of one recording with names.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    pub places: Vec<Place>,
    /// By `StackId`; leaf first, kernel frames first of all.
    pub stacks: Vec<Box<[PlaceId]>>,
}

impl Resolved {
    pub fn stack(&self, id: StackId) -> &[PlaceId] {
        &self.stacks[id.0 as usize]
    }
    pub fn place(&self, id: PlaceId) -> &Place {
        &self.places[id.0 as usize]
    }
}

/// Name all stacks. A plain function of the recording.
pub fn resolve(recording: &Recording) -> Resolved {
    let mut places = places::Places::new(recording);
    let stacks = recording.stacks.iter().map(|stack| merge::merge(stack, &mut places)).collect();
    Resolved { places: places.into_inner(), stacks }
}
