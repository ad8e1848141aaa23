//! What the analysis says, as closed types; `report` turns them into text.

use crate::{
    analyze::{
        Conclusion, Escalation, Indicator, OwnSeen,
        baseline::Metric,
        parallelism::Parallelism,
        suspicions::{Suspicion, Why},
    },
    map::WaitCause,
    recording::{Loss, Nanos, Thinned, Unnamed},
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

/// What kind of round trips a call step makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallProtocol {
    Http,
    Grpc,
    Database,
    Cache,
    Queue,
}

/// What can be said in one sentence about a bottleneck; `report` writes the sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Round trips to one peer, each after the one before.
    SequentialCalls {
        count: u64,
        protocol: CallProtocol,
        peer: String,
        time: Nanos,
    },
    Calls {
        count: u64,
        protocol: CallProtocol,
        peer: String,
        time: Nanos,
    },
    /// The step's own time by its largest part.
    OnCpu {
        time: Nanos,
    },
    Waiting {
        cause: WaitCause,
        time: Nanos,
    },
    /// For its turn to compute, while another thread has CPython's interpreter.
    ForInterpreter {
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
    /// Time outside the project's functions, with the library function or binary that owns most of it, if one does.
    Outside {
        time: Nanos,
        largest: Option<String>,
    },
    /// Time was measured, but not what it went into.
    Unexplained {
        time: Nanos,
    },
    /// The recording has no wall time that anybody owns.
    NothingMeasured,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bottleneck {
    /// `Step::id`; None for the remainder outside the project.
    pub step: Option<String>,
    /// Empty for the remainder.
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
    Interrupted,
    CommandFailed {
        code: i32,
    },
    CommandKilled {
        signal: i32,
    },
    NoBaseline,
    UnstableBaseline {
        metric: Metric,
        cv_pct: f64,
    },
    Overhead {
        pct: f64,
    },
    /// So many events of so much time before `wall` were given up for want of memory; their sums are kept.
    Window {
        length: Nanos,
        events: u64,
        wall: Nanos,
    },
    /// From its time on, less was recorded.
    Thinned(Thinned),
    /// Run time of the probes over the whole run, in percent of the target's own CPU time.
    ProbeTime {
        pct: f64,
    },
    Lost {
        kind: Loss,
        count: u64,
    },
    /// The counting probes of the baseline runs lost events: its counts are lower bounds.
    BaselineLost {
        count: u64,
    },
    /// Share of CPU samples whose native stack did not reach the thread's first function.
    TruncatedStacks {
        share_pct: f64,
    },
    /// Share of CPU samples whose own function has no name, by file and reason. None: not a mapped file.
    MissingSymbols {
        file: Option<String>,
        why: Unnamed,
        share_pct: f64,
    },
    FewSamples {
        samples: u64,
    },
    /// Round trips of TLS connections are inferred from their records.
    /// So many HTTP/2 requests have no name, because the connection's table of names was not seen from its beginning.
    NamelessRequests {
        count: u64,
    },
    InferredCounts {
        peer: String,
    },
    /// Framing was lost on a connection: its counts are lower bounds.
    LowCounts {
        peer: String,
    },
    /// The owners do not add up to the wall time: a fault of perfmap.
    NotClosed {
        pct: f64,
    },
    Note(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    pub class: Class,
    pub detail: Detail,
    /// Three at most, largest share first.
    pub top: Vec<Bottleneck>,
    /// Confirmed ones first.
    pub suspicions: Vec<Suspicion>,
    /// From the wall time down.
    pub root_cause: Vec<Why>,
    pub wrong_tool: Vec<Indicator>,
    /// None: nothing was done side by side, again and again.
    pub parallelism: Option<Parallelism>,
    /// The levels of detail that were gone to.
    pub escalation: Vec<Escalation>,
    pub conclusion: Conclusion,
    /// How the rate changes with the workers, and when the whole job is done, where that was asked.
    pub scaling: Option<super::scaling::Scaling>,
    /// By index into `Recording::own_profiles`.
    pub own_profiles: Vec<OwnSeen>,
    pub warnings: Vec<Warning>,
}
