//! The public form of a discovery, and its sentences.

use std::path::Path;

use serde::Serialize;

use crate::{
    discover::found::{
        CommandKind, CommandSource, Discovery, Language, NoBenchmark, Stack, TestCommand, Tool, Warning,
    },
    recording::{EntryKind, SourceFinding, SourceKind, SourceStep, TestSource},
    report,
};

#[derive(Debug, Serialize)]
pub struct Document {
    discovery: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    schema_version: u32,
    target: String,
    entry_point_info: EntryOut,
    /// What `perfmap trace TARGET` runs. Null where nothing was found and nothing could be written.
    test_command: Option<TestOut>,
    e2e_test: E2eOut,
    services: Vec<ServiceOut>,
    /// Depth first, the entry first.
    call_chain: Vec<StepOut>,
    /// What a run is to be asked about.
    findings: Vec<FindingOut>,
    /// Calls that could not be followed, and why.
    unresolved: Vec<String>,
    stacks: Vec<StackOut>,
    commands: Vec<CommandOut>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct EntryOut {
    #[serde(rename = "type")]
    kind: &'static str,
    location: String,
    route: Option<String>,
    function: String,
}

#[derive(Debug, Serialize)]
struct TestOut {
    command: String,
    /// Relative to the repository's root.
    directory: String,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guessed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct E2eOut {
    command: Option<String>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

#[derive(Debug, Serialize)]
struct ServiceOut {
    name: String,
    path: String,
    ports: Vec<u16>,
    evidence: String,
}

#[derive(Debug, Serialize)]
struct StepOut {
    id: String,
    function: String,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    in_loop: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    awaited: bool,
}

#[derive(Debug, Serialize)]
struct FindingOut {
    suspicion: String,
    function: String,
    location: String,
    what: String,
}

#[derive(Debug, Serialize)]
struct StackOut {
    path: String,
    language: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    manifest: String,
    manager: ToolOut,
    test_tools: Vec<ToolOut>,
    frameworks: Vec<ToolOut>,
}

#[derive(Debug, Serialize)]
struct ToolOut {
    name: &'static str,
    evidence: String,
}

#[derive(Debug, Serialize)]
struct CommandOut {
    kind: &'static str,
    command: String,
    directory: String,
    source: &'static str,
    evidence: String,
}

impl Document {
    pub fn of(found: &Discovery, script: Option<&Path>) -> Document {
        let Discovery { target, entry, stacks, commands, topology, test, e2e_test, followed, warnings } = found;
        let entry_point_info = EntryOut {
            kind: match entry.kind {
                EntryKind::ApiEndpoint => "api_endpoint",
                EntryKind::Function => "function",
                EntryKind::Pipeline => "pipeline",
                EntryKind::Test => "test",
            },
            location: format!("{}:{}", entry.file, entry.line),
            route: entry.route.clone(),
            function: entry.function.clone(),
        };
        let e2e_test = match e2e_test {
            Some(test) => E2eOut {
                command: Some(test.run.line()),
                source: source_name(test.source),
                directory: Some(here(&test.run.directory)),
                evidence: Some(test.evidence.to_string()),
            },
            None => E2eOut { command: None, source: source_name(TestSource::None), directory: None, evidence: None },
        };
        let services = topology.services.iter().map(|service| ServiceOut {
            name: service.name.clone(),
            path: here(&service.path.to_string_lossy()),
            ports: service.ports.clone(),
            evidence: service.evidence.clone(),
        });
        let commands = commands.iter().map(|command| CommandOut {
            kind: kind_name(command.kind),
            command: command.line.clone(),
            directory: here(&command.directory),
            source: command_source_name(command.source),
            evidence: command.evidence.to_string(),
        });
        let body = Body {
            schema_version: 1,
            target: target.clone(),
            entry_point_info,
            test_command: test_out(test, script),
            e2e_test,
            services: services.collect(),
            call_chain: followed.chain.iter().map(step_out).collect(),
            findings: followed.findings.iter().map(finding_out).collect(),
            unresolved: followed.unresolved.clone(),
            stacks: stacks.iter().map(stack_out).collect(),
            commands: commands.collect(),
            warnings: warnings.iter().map(warning_text).collect(),
        };
        Document { discovery: body }
    }
}

fn step_out(step: &SourceStep) -> StepOut {
    StepOut {
        id: step.id.clone(),
        function: step.function.clone(),
        location: format!("{}:{}", step.file, step.line),
        service: step.service.clone(),
        kind: match step.kind {
            SourceKind::FunctionCall => "function_call",
            SourceKind::HttpCall => "http_call",
            SourceKind::GrpcCall => "grpc_call",
            SourceKind::DbQuery => "db_query",
            SourceKind::CacheOp => "cache_op",
            SourceKind::QueueOp => "queue_op",
            SourceKind::FileIo => "file_io",
            SourceKind::LockWait => "lock_wait",
            SourceKind::Sleep => "sleep",
            SourceKind::Subprocess => "subprocess",
            SourceKind::Gpu => "gpu",
        },
        calls: step.target.clone(),
        in_loop: step.in_loop,
        awaited: step.awaited,
    }
}

fn finding_out(finding: &SourceFinding) -> FindingOut {
    FindingOut {
        suspicion: finding.rule.clone(),
        function: finding.function.clone(),
        location: format!("{}:{}", finding.file, finding.line),
        what: finding.what.clone(),
    }
}

fn test_out(test: &TestCommand, script: Option<&Path>) -> Option<TestOut> {
    match test {
        TestCommand::Found(test) => Some(TestOut {
            command: test.run.line(),
            directory: here(&test.run.directory),
            source: source_name(test.source),
            evidence: Some(test.evidence.to_string()),
            guessed: Vec::new(),
        }),
        TestCommand::Generated(made) => Some(TestOut {
            command: format!("sh {}", crate::discover::shell::quoted(&script?.to_string_lossy())),
            directory: here(&made.directory),
            source: "generated",
            evidence: None,
            guessed: made.guessed.clone(),
        }),
        TestCommand::None(_) => None,
    }
}

/// The root has a name too.
fn here(directory: &str) -> String {
    if directory.is_empty() { ".".to_owned() } else { directory.to_owned() }
}

fn stack_out(stack: &Stack) -> StackOut {
    let tool = |tool: &Tool| ToolOut { name: tool.name, evidence: tool.evidence.to_string() };
    StackOut {
        path: here(&stack.directory),
        language: match stack.language {
            Language::Python => "python",
            Language::Node => "node",
            Language::Go => "go",
            Language::Rust => "rust",
            Language::Java => "java",
            Language::DotNet => ".net",
            Language::Ruby => "ruby",
            Language::Php => "php",
        },
        name: stack.name.clone(),
        manifest: stack.manifest.to_string(),
        manager: tool(&stack.manager),
        test_tools: stack.test_tools.iter().map(tool).collect(),
        frameworks: stack.frameworks.iter().map(tool).collect(),
    }
}

fn source_name(source: TestSource) -> &'static str {
    match source {
        TestSource::User => "user",
        TestSource::Route => "route",
        TestSource::Function => "function",
        TestSource::Module => "module",
        TestSource::None => "none",
    }
}

fn kind_name(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Test => "test",
        CommandKind::E2eTest => "e2e_test",
        CommandKind::Benchmark => "benchmark",
        CommandKind::Build => "build",
        CommandKind::Start => "start",
    }
}

fn command_source_name(source: CommandSource) -> &'static str {
    match source {
        CommandSource::Settings => "perfmap.toml",
        CommandSource::Ci => "ci",
        CommandSource::Runbook => "runbook",
        CommandSource::Manifest => "manifest",
        CommandSource::TaskRunner => "task_runner",
        CommandSource::TestEnvironment => "test_environment",
        CommandSource::Compose => "compose",
        CommandSource::Convention => "convention",
    }
}

/// Behind the command that is run.
pub fn test_source_text(source: TestSource) -> &'static str {
    match source {
        TestSource::User => "as given",
        TestSource::Route => "an existing test that calls the route",
        TestSource::Function => "an existing test that calls the function",
        TestSource::Module => "existing tests that import its module",
        TestSource::None => "no test",
    }
}

pub fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::NoEndToEndTest => {
            "no end-to-end test found: nothing in the repository shows that a change leaves the target's results as they \
             were; name one in perfmap.toml ([commands], e2e = \"…\")"
                .to_owned()
        }
        Warning::Ambiguous { others } => format!("other routes fit as well: {}", report::visible(&others.join(", "))),
        Warning::HandlerUnknown => {
            "the function that answers the route could not be named; the location is where the route is declared".to_owned()
        }
        Warning::TooManyFiles => "the repository is too large: some files were not looked at".to_owned(),
        Warning::SourcesLeftOut { note } => format!("call chain: {}", report::visible(note)),
    }
}

pub fn no_command_text(why: NoBenchmark) -> &'static str {
    match why {
        NoBenchmark::Language => "there is no template for its language",
        NoBenchmark::Method => "it needs an object that cannot be made without knowing the program",
        NoBenchmark::Private => "it cannot be called from outside its file or package",
    }
}
