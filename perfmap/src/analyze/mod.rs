//! Map → class, bottlenecks, warnings. Rules in `docs/`; no text here but names that the map already has.

use crate::{
    map::Map,
    recording::{Nanos, Recording},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Cpu,
    IoDb,
    IoNetwork,
    IoFile,
    External,
    Cache,
    Architecture,
    Lock,
    Wait,
    Infrastructure,
    None,
    Unknown,
}

/// How much of the wall time a bottleneck owns: over 50 %, 20–50 %, under 20 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    Primary,
    Secondary,
    Tertiary,
}

/// What can be said in one sentence about a bottleneck; `report` writes the sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Round trips to one peer, each after the one before.
    SequentialCalls {
        count: u64,
        protocol: String,
        peer: String,
        time: Nanos,
    },
    Calls {
        count: u64,
        protocol: String,
        peer: String,
        time: Nanos,
    },
    /// The step's own time by its largest part.
    OnCpu {
        time: Nanos,
    },
    Waiting {
        cause: crate::map::WaitCause,
        time: Nanos,
    },
    FileIo {
        bytes_read: u64,
        bytes_written: u64,
        time: Nanos,
    },
    /// Nothing owns more than 20 %.
    NothingStandsOut {
        largest: Nanos,
    },
    /// Time outside the project's functions.
    Outside {
        time: Nanos,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bottleneck {
    /// `Step::id`; None for the remainder outside the project.
    pub step: Option<String>,
    pub function: String,
    pub class: Class,
    pub rank: Rank,
    /// Share of wall time in percent: the step's own time plus its folded calls.
    pub share_pct: f64,
    pub detail: Detail,
}

/// What the reader must know about how far the figures can be trusted.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    UnstableBaseline {
        metric: &'static str,
        cv_pct: f64,
    },
    Overhead {
        pct: f64,
    },
    Lost {
        kind: crate::recording::Loss,
        count: u64,
    },
    TruncatedStacks {
        share_pct: f64,
    },
    /// Frames without a name, by file, with the package that would bring names where known.
    MissingSymbols {
        file: String,
        share_pct: f64,
    },
    FewSamples {
        samples: u64,
    },
    CommandFailed {
        code: i32,
    },
    CommandKilled {
        signal: i32,
    },
    Interrupted,
    InferredCounts {
        peer: String,
    },
    NoBaseline,
    Note(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    pub class: Class,
    pub detail: Detail,
    /// Three at most, largest share first.
    pub top: Vec<Bottleneck>,
    pub warnings: Vec<Warning>,
}

pub fn analyze(_recording: &Recording, _map: &Map) -> Analysis {
    Analysis {
        class: Class::Unknown,
        detail: Detail::NothingStandsOut { largest: Nanos::ZERO },
        top: vec![],
        warnings: vec![],
    }
}
