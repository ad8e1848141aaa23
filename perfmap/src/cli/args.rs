//! What the user typed, and nothing decided yet (see `plan`).

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, ValueEnum};

use super::scale_args::{SCALE_EXAMPLES, ScaleArgs, WorkArgs};
use crate::collect::PythonBy;

const EXAMPLES: &str = "\
Examples:
  sudo perfmap trace -- uv run pytest tests/e2e/test_checkout.py -s
  sudo perfmap trace --runs 5 -- ./target/release/import data.csv
  sudo perfmap trace POST /api/v1/orders
  perfmap discover app/services/orders.py::create_order
  sudo perfmap scale --sweep 1,2,4,8 --workers-env WORKERS -- python3 backfill.py
  sudo perfmap attach --unit billing.service --duration 30s
  perfmap report .optimization/test_checkout/recording.perfmap
  perfmap diff before/profile_result.yaml after/profile_result.yaml
  perfmap doctor";

const TRACE_EXAMPLES: &str = "\
Examples:
  sudo perfmap trace -- uv run pytest tests/e2e/test_checkout.py -s
  sudo perfmap trace POST /api/v1/orders                      without --: a target; its test is found, or written
  sudo perfmap trace app/orders.py::create_order              (perfmap discover --help has all kinds)
  sudo perfmap trace --no-baseline -- python3 job.py          one profiled run and nothing else
  sudo perfmap trace --freq 999 -- ./parse big.json           ten times the samples, for short programs
  sudo perfmap trace --app 'vendor/ours/*' -- npm test        files elsewhere that are your code too
  sudo perfmap trace --service api=port:8001 -- make check    a name for the service that listens there
  sudo perfmap trace --format json -o - -- make check | jq .  the map on standard output
  sudo perfmap trace --baseline-file .optimization/check/baseline.json -- make check
  sudo perfmap trace --fail-on 'wall>5000' --fail-on confirmed=lock_contention -- make check     for CI

The command runs as you, with your environment, though perfmap runs as root (--as-root keeps root).
Services are named by --service, then by the [services] table of perfmap.toml in the project's root
(lines like: api = 'port:8001'), then by what they, their container or their unit say.
It runs once to warm up, three times to measure (the baseline), and once profiled; once more at 999 Hz where a hot
function has too few samples for its lines (--no-escalate: not).

Exit codes: the command's own; 2 wrong use, 3 the command fails before profiling, 4 no privilege or an unfit
kernel, 5 output cannot be written, 6 a --fail-on condition holds, 126/127 the command cannot be run, 128+n killed by signal n, 130 Ctrl-C.";

const ATTACH_EXAMPLES: &str = "\
Examples:
  sudo perfmap attach --pid 4711 --duration 30s
  sudo perfmap attach --unit billing.service          until Ctrl-C
  sudo perfmap attach --container 3f2a9c --freq 199
  sudo perfmap attach --pid 4711 --pid 4712           two services, and what they ask of each other

Nothing is run and nothing is stopped: what is watched goes on as before. The map shows the requests that it served,
where their time went, and what it asked of others; without any request, what it computed.

Exit codes: 0 the map is written (also where Ctrl-C or the process's end came first), 2 wrong use or nothing to watch,
4 no privilege or an unfit kernel, 5 output cannot be written.";

const DISCOVER_EXAMPLES: &str = "\
Examples:
  perfmap discover app/services/orders.py::create_order      a function
  perfmap discover app/services/orders.py:45                 the function around a line
  perfmap discover POST /api/v1/orders                       a route; a URL works too
  perfmap discover app.jobs.nightly:run                      module:function
  perfmap discover scripts/import.py                         a pipeline: a file, a script of a manifest, a make target
  perfmap discover tests/test_orders.py::test_pays           a test, by its id or its name

Prints the entry point, the command that drives it (an existing test found by route, then function, then module; else a
script that is written to .optimization/NAME/profile_test.sh), services with their code, tools and commands, each with
the file and line that says so. [commands] and [targets] of perfmap.toml come before all that is found.

Exit codes: 0 found, 2 not found (the nearest names are shown) or a perfmap.toml that is none, 5 output cannot be written.";

const REPORT_EXAMPLES: &str = "\
Examples:
  perfmap report .optimization/test_checkout/recording.perfmap
  perfmap report recording.perfmap --out /tmp/again      the same files, byte for byte
  perfmap report recording.perfmap --format json -o -    the map on standard output
  perfmap report -v recording.perfmap                    every suspicion with its figures
  perfmap report recording.perfmap --fail-on class=CPU   exit code 6 where that holds

Needs no root, no network, and none of the traced program's files.";

const DIFF_EXAMPLES: &str = "\
Examples:
  perfmap diff before/profile_result.yaml after/profile_result.yaml
  perfmap diff before/recording.perfmap after/recording.perfmap
  perfmap diff old.yaml new.yaml --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  perfmap diff old.yaml new.yaml --fail-on regression --fail-on suspicion

Each side is a result, a map, or a recording. Whether a difference is more than noise is judged by the spread of the
baseline runs on both sides (Welch's t-test at 95 %); without two runs on each, that is not known.

Exit codes: 0 compared, 2 wrong use or not a file of perfmap's, 6 a --fail-on condition holds.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  sudo perfmap doctor
  perfmap doctor         what works without root

Exit codes: 0 a full profile can be made, 1 something is missing (each line says what it costs and what mends it).";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  perfmap completions bash > ~/.local/share/bash-completion/completions/perfmap
  perfmap completions zsh  > ~/.zfunc/_perfmap
  perfmap completions fish > ~/.config/fish/completions/perfmap.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  perfmap man | man -l -
  perfmap man > /usr/local/share/man/man1/perfmap.1";

// Headings of options in the help: without one are those that most runs need.
const RUNS: &str = "Runs";
const COLLECTING: &str = "Collecting";
const JUDGING: &str = "Judging";
const EVERYWHERE: &str = "With every command";

/// Where did the wall time go, across every process and service it touches, and what should be changed?
#[derive(Debug, Parser)]
#[command(name = "perfmap", version, after_help = EXAMPLES, max_term_width = 110, propagate_version = true)]
pub struct Args {
    /// Only errors; no progress and no report
    #[arg(short, long, global = true, help_heading = EVERYWHERE, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More detail in the report, and what is done meanwhile
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub verbose: bool,
    /// No colours (also: NO_COLOR set, or output not a terminal)
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub no_color: bool,
    #[command(subcommand)]
    pub command: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Run a command, measure it, and write its performance map
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Say why so many workers are not so many times as fast, and how many are best
    #[command(after_help = SCALE_EXAMPLES, mut_arg("command", |command| command.required(false).required_unless_present("pid")))]
    Scale(Box<ScaleArgs>),
    /// Watch services that run already, and write the same map
    #[command(after_help = ATTACH_EXAMPLES)]
    Attach(AttachArgs),
    /// Find where a target is entered, what tests it, and how its repository is worked with; runs nothing
    #[command(after_help = DISCOVER_EXAMPLES)]
    Discover(DiscoverArgs),
    /// Make all outputs again from a recording
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Compare two results: what became faster, slower, new or gone
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Show what works on this machine, and how to mend what does not
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor,
    /// Print shell completions
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man,
    /// Read interpreters for another perfmap, on the socket that is standard input
    #[command(name = crate::collect::READ_INTERPRETERS, hide = true)]
    ReadInterpreters,
    /// Play the services of the demonstration
    #[command(hide = true)]
    Play {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Clone, ClapArgs)]
pub struct TraceArgs {
    /// Directory for the results [default: .optimization/NAME, named after the command]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Counted runs of the baseline
    #[arg(long, help_heading = RUNS, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Runs before them that do not count
    #[arg(long, help_heading = RUNS, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub warmup: u32,
    /// Only the profiled run: no medians, no spread, no overhead figure
    #[arg(long, help_heading = RUNS, conflicts_with_all = ["baseline_file", "runs", "warmup"])]
    pub no_baseline: bool,
    /// Use the baseline.json of an earlier trace instead of running the command for one
    #[arg(long, help_heading = RUNS, value_name = "FILE", conflicts_with_all = ["runs", "warmup"])]
    pub baseline_file: Option<PathBuf>,
    /// CPU samples per second and CPU
    #[arg(long, help_heading = COLLECTING, value_name = "HZ", default_value_t = 99, value_parser = clap::value_parser!(u32).range(1..=4999))]
    pub freq: u32,
    /// Fold steps below this share of the wall time, in percent, into their parent
    #[arg(long, value_name = "PCT", default_value_t = 1.0)]
    pub min_share: f64,
    /// A directory, file or pattern whose functions count as the project's (repeatable)
    #[arg(long, value_name = "PATH|GLOB")]
    pub app: Vec<String>,
    /// Name a service: NAME=pid:N, port:N, container:ID, unit:NAME, or the PATH of its program, script or directory
    /// (repeatable; see also perfmap.toml)
    #[arg(long, value_name = "NAME=WHICH")]
    pub service: Vec<String>,
    /// Run the command as root too
    #[arg(long)]
    pub as_root: bool,
    /// Format of the map
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
    /// `-`: print the map on standard output as well (the command's own standard output then goes to standard error)
    #[arg(short = 'o', value_name = "-")]
    pub print: Option<String>,
    /// Services that run already and that the command talks to: follow `no`, all on this `host`, or those named
    #[arg(long, help_heading = COLLECTING, value_name = "no|host|NAME", default_value = "host", value_delimiter = ',')]
    pub follow_peers: Vec<String>,
    /// How to collect: the best that works here, or one of them and nothing else (see docs/backends.md)
    #[arg(long, help_heading = COLLECTING, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// Who reads Python's functions: eBPF, and py-spy where it knows the interpreter better (auto), one of them, or nobody
    #[arg(long, help_heading = COLLECTING, value_enum, default_value_t = Python::Auto)]
    pub python: Python,
    /// A profile that a program takes of itself (profile.proto, as of Go's net/http/pprof): a file of this run, or an http://
    /// address that is asked while it goes on (repeatable)
    #[arg(long, value_name = "FILE|URL")]
    pub pprof: Vec<String>,
    /// Bytes of stack copied with each sample; deep native stacks need more, each costs time
    #[arg(long, help_heading = COLLECTING, value_name = "BYTES", default_value_t = 32768, value_parser = clap::value_parser!(u32).range(1024..=32768))]
    pub stack_bytes: u32,
    /// MiB of memory for what is kept in detail; of what came before, requests and bytes stay counted
    #[arg(long, help_heading = COLLECTING, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub detail_memory: u32,
    /// Once more with line_profiler in the program, for the lines of hot Python functions: changes no file, but the run
    #[arg(long, help_heading = RUNS)]
    pub allow_instrumentation: bool,
    /// Once more with tracemalloc in Python processes: what each function allocated that is alive at the end; changes no file
    #[arg(long, help_heading = RUNS)]
    pub tracemalloc: bool,
    /// Once more with probes at malloc, free and their like: what each function allocated, and what of it is alive at the end
    #[arg(long, help_heading = RUNS)]
    pub allocations: bool,
    /// No second run at 999 Hz where a hot function has too few samples for its lines
    #[arg(long, help_heading = RUNS)]
    pub no_escalate: bool,
    /// End with exit code 6 where this holds: confirmed, confirmed=RULE, class=CLASS, wall>MS (repeatable)
    #[arg(long, help_heading = JUDGING, value_name = "CONDITION")]
    pub fail_on: Vec<String>,
    /// What operations usually take, over the usual norms: a TOML file (see also perfmap.toml)
    #[arg(long, help_heading = JUDGING, value_name = "FILE")]
    pub norms: Option<PathBuf>,
    #[command(flatten)]
    pub work: WorkArgs,
    /// Change nothing in the command's environment: Node, Java and .NET then name no functions unless they are told to
    #[arg(long, help_heading = COLLECTING)]
    pub no_env: bool,
    /// For tests: probes in TLS libraries one by one, as on kernels before 6.6
    #[arg(long, hide = true)]
    pub single_probes: bool,
    /// For tests: of N times that a task gets a CPU one goes by unseen
    #[arg(long, hide = true, value_name = "N", default_value_t = 0)]
    pub lose_arrivals: u32,
    /// The command and its arguments, after --; or a target, without it
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND|TARGET")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Clone, ClapArgs)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["pid", "container", "unit"]))]
pub struct AttachArgs {
    /// A running process, with its threads and children (repeatable)
    #[arg(long, value_name = "N")]
    pub pid: Vec<u32>,
    /// All processes of a container: the beginning of its id, or its name (repeatable)
    #[arg(long, value_name = "ID")]
    pub container: Vec<String>,
    /// All processes of a systemd unit (repeatable)
    #[arg(long, value_name = "NAME")]
    pub unit: Vec<String>,
    /// How long: 500ms, 30s, 5m [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Directory for the results [default: .optimization/NAME, named after what is watched]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// CPU samples per second and CPU
    #[arg(long, help_heading = COLLECTING, value_name = "HZ", default_value_t = 99, value_parser = clap::value_parser!(u32).range(1..=4999))]
    pub freq: u32,
    /// Fold steps below this share of the wall time, in percent, into their parent
    #[arg(long, value_name = "PCT", default_value_t = 1.0)]
    pub min_share: f64,
    /// A directory, file or pattern whose functions count as the project's (repeatable)
    #[arg(long, value_name = "PATH|GLOB")]
    pub app: Vec<String>,
    /// Services that it talks to: follow `no`, all on this `host`, or those named
    #[arg(long, help_heading = COLLECTING, value_name = "no|host|NAME", default_value = "host", value_delimiter = ',')]
    pub follow_peers: Vec<String>,
    /// Name a service, as for trace: NAME=pid:N, port:N, container:ID, unit:NAME, or a PATH (repeatable)
    #[arg(long, value_name = "NAME=WHICH")]
    pub service: Vec<String>,
    /// Format of the map
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
    /// `-`: print the map on standard output as well
    #[arg(short = 'o', value_name = "-")]
    pub print: Option<String>,
    /// Who reads Python's functions: eBPF, and py-spy where it knows the interpreter better (auto), one of them, or nobody
    #[arg(long, help_heading = COLLECTING, value_enum, default_value_t = Python::Auto)]
    pub python: Python,
    /// A profile that a program takes of itself (profile.proto, as of Go's net/http/pprof): a file of this run, or an http://
    /// address that is asked while it goes on (repeatable)
    #[arg(long, value_name = "FILE|URL")]
    pub pprof: Vec<String>,
    /// Bytes of stack copied with each sample; deep native stacks need more, each costs time
    #[arg(long, help_heading = COLLECTING, value_name = "BYTES", default_value_t = 32768, value_parser = clap::value_parser!(u32).range(1024..=32768))]
    pub stack_bytes: u32,
    /// MiB of memory for what is kept in detail; of what came before, requests and bytes stay counted
    #[arg(long, help_heading = COLLECTING, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub detail_memory: u32,
}

/// A number and its unit; seconds without one.
pub fn duration(typed: &str) -> Result<Duration, String> {
    let digits = typed.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(digits);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("{other} is no unit of time: use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{typed} is no length of time: write 30s or 5m"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(length) if length >= Duration::from_millis(1) => Ok(length),
        Ok(_) | Err(_) => Err(format!("{typed} is too short or too long")),
    }
}

#[derive(Debug, Clone, ClapArgs)]
pub struct DiscoverArgs {
    /// A function, line, route, URL, pipeline or test
    #[arg(required = true, num_args = 1..=2, value_name = "TARGET")]
    pub target: Vec<String>,
    /// Format of what is printed
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
    /// Directory for a script, where one is written [default: .optimization/NAME, named after the target]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct ReportArgs {
    /// A recording.perfmap
    pub file: PathBuf,
    /// Directory for the results [default: the recording's own]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Fold steps below this share of the wall time, in percent, into their parent
    #[arg(long, value_name = "PCT", default_value_t = 1.0)]
    pub min_share: f64,
    /// Format of the map
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
    /// `-`: print the map on standard output as well
    #[arg(short = 'o', value_name = "-")]
    pub print: Option<String>,
    /// End with exit code 6 where this holds: confirmed, confirmed=RULE, class=CLASS, wall>MS (repeatable)
    #[arg(long, value_name = "CONDITION")]
    pub fail_on: Vec<String>,
    /// What operations usually take, over the usual norms: a TOML file (see also perfmap.toml)
    #[arg(long, value_name = "FILE")]
    pub norms: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Yaml,
    Json,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct DiffArgs {
    /// The result, map or recording from before
    pub before: PathBuf,
    /// The one from after
    pub after: PathBuf,
    #[arg(long, value_enum, default_value_t = DiffFormat::Terminal)]
    pub format: DiffFormat,
    /// End with exit code 6 where this holds: regression (the wall time), step (any step) or suspicion (a new one)
    /// (repeatable)
    #[arg(long, value_name = "CONDITION")]
    pub fail_on: Vec<String>,
    /// Of recordings: fold steps below this share of the wall time, in percent, into their parent
    #[arg(long, value_name = "PCT", default_value_t = 1.0)]
    pub min_share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// A table
    Terminal,
    /// For a pull request
    Markdown,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The best that works here
    Auto,
    /// Probes in the kernel: all that there is to know
    Ebpf,
    /// perf's events, as an ordinary user: samples and switches, no requests
    Perf,
    /// /proc, looked at 100 times a second: works everywhere
    Procfs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Python {
    /// eBPF; py-spy for interpreters that it does not know
    Auto,
    /// eBPF or nothing
    Ebpf,
    /// py-spy, 99 times a second, from outside
    PySpy,
    /// No Python functions
    Off,
}

impl From<Python> for PythonBy {
    fn from(typed: Python) -> PythonBy {
        match typed {
            Python::Auto => PythonBy::Auto,
            Python::Ebpf => PythonBy::Ebpf,
            Python::PySpy => PythonBy::PySpy,
            Python::Off => PythonBy::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (typed, millis) in [("30s", 30_000), ("500ms", 500), ("5m", 300_000), ("1.5h", 5_400_000), ("2", 2_000)] {
            assert_eq!(duration(typed), Ok(Duration::from_millis(millis)), "{typed}");
        }
        for wrong in ["", "s", "5 days", "-3s", "0s", "1e99h", "."] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    /// Whatever belongs to every command stands together behind the command's own.
    #[test]
    fn options_stand_with_their_like() {
        let help = |command: &str| {
            let mut args = <Args as clap::CommandFactory>::command();
            args.build();
            let found = args.get_subcommands().find(|sub| sub.get_name() == command).expect("a command").clone();
            found.clone().render_long_help().to_string()
        };
        for command in ["trace", "scale", "attach", "report", "diff"] {
            let text = help(command);
            let (own, common) = text.split_once("With every command:").expect("a heading");
            let common = common.split_once("Examples:").expect("examples").0;
            for option in ["--quiet", "--verbose", "--no-color"] {
                assert!(common.contains(option) && !own.contains(&format!(" {option}\n")), "{command} {option}");
            }
        }
        let scale = help("scale");
        let place = |text: &str| scale.find(text).expect("in the help");
        let order =
            ["Numbers of workers:", "--sweep-limit", "A part of a long run:", "--pid", "Runs:", "Amount of work:"];
        assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{scale}");
    }

    #[test]
    fn something_must_be_named_to_be_watched() {
        let parsed = |words: &[&str]| Args::try_parse_from(["perfmap", "attach"].iter().chain(words));
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["--pid", "1", "--unit", "x", "--pid", "2"]).is_ok());
    }
}
