//! What programs told of themselves in profiles of their own (`profile.proto`). Sums without moments: such a profile says over
//! which time it was taken, not when in it. It stays apart from what was observed.

use serde::{Deserialize, Serialize};

use super::{Nanos, ProcessId};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnProfile {
    /// The file, or the address without its query.
    pub source: String,
    /// Whose it is, where that is known.
    pub process: Option<ProcessId>,
    /// The program that it says it is of; empty: it does not say.
    pub program: String,
    /// The first moment and the last that it is about; None: it says no time.
    pub span: Option<(Nanos, Nanos)>,
    /// So much of the span was covered: readings follow each other with gaps.
    pub covered: Nanos,
    /// So many profiles were summed up.
    pub readings: u32,
    pub kinds: Vec<OwnKind>,
}

/// One kind of value, such as `cpu` in `nanoseconds`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnKind {
    pub kind: String,
    pub unit: String,
    /// May be negative: of memory in use, the change.
    pub total: i64,
    /// Largest own value first.
    pub functions: Vec<OwnFunction>,
    /// Further ones, that were left out.
    pub left_out: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnFunction {
    pub name: String,
    pub file: String,
    /// Where it begins; 0: not told.
    pub first_line: u32,
    /// Of stacks that end in it.
    pub own: i64,
    /// Of all stacks that it is in.
    pub all: i64,
}
