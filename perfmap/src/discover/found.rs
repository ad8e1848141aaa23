//! The types of what is found in a repository. All text in them is one line, bounded, and without control characters.

use crate::recording::{EntryPoint, TestSource};

use super::{chain::Followed, topology::Topology};

/// Where something was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// Relative to the root.
    pub file: String,
    /// 0: the file as a whole, for instance that it is there.
    pub line: u32,
}

impl Evidence {
    pub fn file(file: impl Into<String>) -> Evidence {
        Evidence { file: file.into(), line: 0 }
    }

    pub fn at(file: impl Into<String>, line: u32) -> Evidence {
        Evidence { file: file.into(), line }
    }
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Evidence { file, line: 0 } => write!(out, "{file}"),
            Evidence { file, line } => write!(out, "{file}:{line}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Python,
    Node,
    Go,
    Rust,
    Java,
    DotNet,
    Ruby,
    Php,
}

impl Language {
    /// By the file's ending. Kotlin and Scala are not read.
    pub fn of(path: &str) -> Option<Language> {
        match super::tree::extension(path) {
            "py" => Some(Language::Python),
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => Some(Language::Node),
            "go" => Some(Language::Go),
            "rs" => Some(Language::Rust),
            "java" => Some(Language::Java),
            "cs" => Some(Language::DotNet),
            "rb" => Some(Language::Ruby),
            "php" => Some(Language::Php),
            _ => None,
        }
    }
}

/// One package of the repository: its language and what it is worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub language: Language,
    /// Where its manifest lies; `""` is the root.
    pub directory: String,
    pub manifest: Evidence,
    /// As the manifest names it.
    pub name: Option<String>,
    /// `uv`, `pnpm`, `maven` …: what runs its commands.
    pub manager: Tool,
    /// The first runs the tests.
    pub test_tools: Vec<Tool>,
    /// `fastapi`, `axum` …
    pub frameworks: Vec<Tool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub name: &'static str,
    pub evidence: Evidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandKind {
    Test,
    E2eTest,
    Benchmark,
    Build,
    /// A server, a worker.
    Start,
}

/// Who says so, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandSource {
    /// perfmap.toml
    Settings,
    Ci,
    Runbook,
    Manifest,
    /// Makefile, justfile
    TaskRunner,
    /// tox, nox
    TestEnvironment,
    Compose,
    /// Nothing in the repository says it; the tool's own way.
    Convention,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundCommand {
    pub kind: CommandKind,
    pub source: CommandSource,
    /// A line for a shell, as it is written there.
    pub line: String,
    /// Where it is to be run, as far as it is known; `""` is the root.
    pub directory: String,
    pub evidence: Evidence,
}

/// A command that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runnable {
    pub words: Vec<String>,
    /// Relative to the root.
    pub directory: String,
}

impl Runnable {
    /// As it would be typed.
    pub fn line(&self) -> String {
        self.words.iter().map(|word| super::script::shell::quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// An existing test that drives the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTest {
    pub run: Runnable,
    pub source: TestSource,
    /// The line that calls the route or function, or imports the module.
    pub evidence: Evidence,
}

/// Written where no test was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The first is `profile_test.sh`; names and texts.
    pub files: Vec<(String, String)>,
    /// What had to be guessed, as the scripts mark it.
    pub guessed: Vec<String>,
    /// Where it is to be run; relative to the root.
    pub directory: String,
}

/// What is run to measure the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestCommand {
    Found(FoundTest),
    Generated(Script),
    /// Nothing could be made; the user has to say it.
    None(NoBenchmark),
}

/// What the reader must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Nothing in the repository shows that a change left the target right.
    NoEndToEndTest,
    /// Several fit; the first was taken.
    Ambiguous { others: Vec<String> },
    /// The function that answers the route could not be named.
    HandlerUnknown,
    /// Some files were not looked at.
    TooManyFiles,
    /// A bound of the call chain: how many source files were not read, and why.
    SourcesLeftOut { note: String },
}

/// Why no benchmark could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBenchmark {
    /// Its language has no template.
    Language,
    /// It is a method of an object that would have to be made.
    Method,
    /// Nobody outside its file or package can call it.
    Private,
}

/// All that discovery says about one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    pub target: String,
    pub entry: EntryPoint,
    /// Sorted by directory, then language.
    pub stacks: Vec<Stack>,
    /// By kind, then by trust.
    pub commands: Vec<FoundCommand>,
    pub topology: Topology,
    pub test: TestCommand,
    pub e2e_test: Option<FoundTest>,
    /// The calls from the entry on.
    pub followed: Followed,
    pub warnings: Vec<Warning>,
}
