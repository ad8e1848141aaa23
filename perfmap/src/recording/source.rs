//! What the program's source says before it runs: where it is entered, what it calls, what looks suspicious. Found by
//! `discover` and kept here, because conclusions are also drawn where the source is not.
//!
//! Nothing in it is a verdict: the run decides. All text is bounded by who writes it; files are relative to the root.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub entry: Option<EntryPoint>,
    pub e2e_test: Option<E2eTest>,
    /// Depth first, in the order of the calls.
    pub chain: Vec<SourceStep>,
    pub findings: Vec<SourceFinding>,
    /// Calls that could not be followed, with the reason; bounded.
    pub unresolved: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    ApiEndpoint,
    Function,
    Pipeline,
    Test,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    pub kind: EntryKind,
    pub file: String,
    pub line: u32,
    /// `POST /jobs/{id}`.
    pub route: Option<String>,
    /// Qualified, as the language writes it.
    pub function: String,
}

/// How the end-to-end test was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TestSource {
    User,
    Route,
    Function,
    Module,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct E2eTest {
    pub command: Option<String>,
    pub source: TestSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceKind {
    FunctionCall,
    HttpCall,
    GrpcCall,
    DbQuery,
    CacheOp,
    QueueOp,
    FileIo,
    LockWait,
    Sleep,
    Subprocess,
    Gpu,
}

/// One call that the source makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStep {
    /// Position in the chain: "1.1.2".
    pub id: String,
    pub function: String,
    pub file: String,
    /// Where it is called from; for the entry, and for a handler in another service, where it begins.
    pub line: u32,
    /// The service whose code this is, where the repository has several.
    pub service: Option<String>,
    pub kind: SourceKind,
    /// What is called where the source says so: a URL or route, a normalised statement, a command.
    pub target: Option<String>,
    /// Inside a loop (or a comprehension) of its caller.
    pub in_loop: bool,
    pub awaited: bool,
}

/// Something in the source that a rule of the catalogue asks the run about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFinding {
    /// The rule's id in the catalogue: `connection_per_request`.
    pub rule: String,
    pub function: String,
    pub file: String,
    pub line: u32,
    /// What was seen, with numbers and names that vary replaced: `httpx.Client() inside a function`.
    pub what: String,
}
