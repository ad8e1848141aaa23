//! A suspicion, its verdict, and the figures that the verdict rests on.

use crate::{map::Location, recording::Nanos};

/// The groups of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    ConnectionManagement,
    DataFlow,
    AsyncPatterns,
    ResourceLifecycle,
    Configuration,
    RedundantWork,
    Architecture,
    Concurrency,
    Environment,
    HotCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Confirmed,
    Dismissed,
    /// Only where the suspicious code did not run.
    Unverified,
}

/// One measured figure, with the limit that it was held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was measured: "connects per request".
    pub what: String,
    pub value: Value,
    /// The rule's limit for it.
    pub limit: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Count(u64),
    Percent(f64),
    Ratio(f64),
    Time(Nanos),
    Bytes(u64),
    Text(String),
}

/// One link of the chain from the wall time down to a line of code, a configuration value or the architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    pub why: String,
    pub because: String,
    pub evidence: Vec<Evidence>,
}

/// Wall time that would be saved, computed from what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Gain {
    pub wall: Nanos,
    /// From what it was computed: "13 calls one after the other 1560 ms, the longest 121 ms".
    pub basis: String,
}

/// What to change, as a sketch in the step's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub hint: String,
    pub before: String,
    pub after: String,
    /// Why no gain is given with it, where none can be computed.
    pub ungained: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Suspicion {
    /// The rule's id in the catalogue.
    pub id: &'static str,
    pub category: Category,
    /// What is suspected, as one name: a peer, a function, a file, a statement. Together with `id` the key by which
    /// equal suspicions become one.
    pub subject: String,
    pub location: Option<Location>,
    /// `Step::id`s, in the order of the map.
    pub affected_steps: Vec<String>,
    /// One sentence; what varies from run to run is in `evidence`.
    pub description: String,
    pub verdict: Verdict,
    pub evidence: Vec<Evidence>,
    /// Why this verdict, and how sure it is.
    pub note: String,
    /// Confirmed ones only.
    pub gain: Option<Gain>,
    pub change: Option<Change>,
}

impl Evidence {
    pub fn new(what: &str, value: Value) -> Evidence {
        Evidence { what: what.into(), value, limit: None }
    }

    pub fn held_against(what: &str, value: Value, limit: Value) -> Evidence {
        Evidence { what: what.into(), value, limit: Some(limit) }
    }
}
