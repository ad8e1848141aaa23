//! The messages of `profile.proto` (pprof's format), and their bytes: written for other tools, read from programs that
//! profile themselves. Knows nothing of recordings.
//!
//! What is read is a stranger's: bounded in size, in the number of messages and in what an index may point to; total on
//! any bytes. Mappings but for the program's name, addresses, labels' units and comments are left out on reading.

mod read;
mod wire;
mod write;

pub use read::{NotAProfile, read};
pub use write::write;

/// A value's meaning, such as `cpu` in `nanoseconds`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ValueType {
    pub kind: String,
    pub unit: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Function {
    pub name: String,
    pub file: String,
    /// 0: not known.
    pub first_line: u32,
}

/// One function at one place of the code; those that were inlined there come first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Location {
    /// Index into [`Profile::functions`], and the line, 0 where it is not known.
    pub lines: Vec<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Indices into [`Profile::locations`], leaf first.
    pub locations: Vec<u32>,
    /// One for each of [`Profile::types`].
    pub values: Vec<i64>,
    pub labels: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    pub types: Vec<ValueType>,
    /// Which of them a tool shows first; empty: it decides.
    pub shown: String,
    pub functions: Vec<Function>,
    pub locations: Vec<Location>,
    pub samples: Vec<Sample>,
    pub period: Option<(ValueType, i64)>,
    /// When it was taken, since 1970; 0: not known.
    pub time_ns: i64,
    /// 0: not known.
    pub duration_ns: i64,
    /// The file of its first mapping, which is the program's own; empty: not known.
    pub program: String,
}

#[cfg(test)]
mod tests;
