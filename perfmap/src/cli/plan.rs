//! What was typed → what will be done, every decision taken and checked before anything is started.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    args::{Backend, Format, TraceArgs},
    errors::Failure,
    fail_on::{self, Condition},
    norms::norms,
    own_profiles::{self, ProfileSource},
    services::named_services,
    work::{ScalePlan, WorkPlan, work_plan},
};
use crate::{
    baseline::Schedule,
    collect::{self, FollowPeers, Mode, Named, Peers},
    correlate::flows,
    map,
    recording::{NamedService, Nanos, ServiceSelector},
    report::{self, files::Owner},
    target::{self, Command, Invocation, Project},
};

/// Blocks at least this long are recorded one by one: shorter ones cost more to record than they tell (measured:
/// under 100 µs a thread hand-over loses a third to its own record), and their sums are kept.
pub const WAIT_THRESHOLD: Nanos = Nanos(100_000);

/// How the baseline comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaselinePlan {
    Measure(Schedule),
    Reuse(PathBuf),
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TracePlan {
    pub command: Command,
    pub project: Project,
    /// The names that the user gave, the strongest first.
    pub services: Vec<NamedService>,
    /// Services that are followed from the beginning, where they run already.
    pub added: Vec<ServiceSelector>,
    /// Owner of what is written; None: perfmap's own identity.
    pub owner: Option<Owner>,
    pub out: PathBuf,
    pub baseline: BaselinePlan,
    pub sample_hz: u32,
    pub stack_bytes: u32,
    pub detail_memory: u32,
    pub single_probes: bool,
    pub python: collect::PythonBy,
    pub lose_arrivals: u32,
    /// A run at a higher rate is made where the profiled one has too few samples.
    pub escalate: bool,
    /// A run with a line profiler inside Python programs.
    pub instrument: bool,
    /// A run with tracemalloc inside Python programs.
    pub tracemalloc: bool,
    /// A run with probes at the allocators' functions.
    pub allocations: bool,
    /// `auto` goes on without eBPF where it is refused, and says what is lost.
    pub backend: Backend,
    /// Services that run already and that the command talks to.
    pub follow_peers: FollowPeers,
    pub output: OutputPlan,
    pub fail_on: Vec<Condition>,
    /// As they go into the recording.
    pub norms: Vec<String>,
    pub work: WorkPlan,
    /// Profiles that programs take of themselves.
    pub own_profiles: Vec<ProfileSource>,
}

/// What `trace` and `report` have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputPlan {
    pub format: Format,
    /// The map goes to standard output as well.
    pub print: bool,
    /// 0 to 1.
    pub min_share: f64,
}

impl TracePlan {
    /// The question of `perfmap scale`, and the number of workers that the command is to have for it.
    pub fn ask(&mut self, scale: &ScalePlan) {
        let workers = scale.workers(self.work.said.workers, &self.command);
        if let (Some(by), Some(workers)) = (&scale.by, workers) {
            self.command = by.with(&self.command, workers);
        }
        self.work.said.workers = workers;
        self.work.said.asked = true;
    }

    pub fn collect(&self, mode: Mode, peers: Peers) -> collect::Plan {
        collect::Plan {
            mode,
            sample_hz: self.sample_hz,
            wait_threshold: WAIT_THRESHOLD,
            stack_bytes: self.stack_bytes,
            peers,
            tls_libraries: Vec::new(),
            single_probes: self.single_probes,
            lose_arrivals: self.lose_arrivals,
            detail: detail(self.detail_memory),
            allocations: None,
            python: self.python,
        }
    }
}

/// What is run, where, and after what its results are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub argv: Vec<OsString>,
    pub directory: PathBuf,
    pub name: String,
}

impl Wanted {
    /// The command as it was typed.
    pub fn typed(command: &[OsString], working_directory: &Path) -> Wanted {
        let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Wanted { argv: command.to_vec(), directory: working_directory.to_owned(), name: report::name_of(&words) }
    }
}

pub fn trace_plan(
    typed: &TraceArgs,
    wanted: Wanted,
    working_directory: &Path,
    invocation: Invocation,
) -> Result<TracePlan, Failure> {
    let Invocation { identity, environment, source: _, owner } = invocation;
    let owner = owner.map(|(uid, gid)| Owner { uid, gid });
    let output = output_plan(typed.format, typed.print.as_deref(), typed.min_share)?;
    let command = Command {
        argv: wanted.argv,
        working_directory: wanted.directory,
        identity,
        environment,
        stdout_to_stderr: output.print,
        output: None,
    };
    target::find_program(&command).map_err(|cause| target::LaunchError::from((&command, cause)))?;
    let home = command.variable("HOME").map(PathBuf::from);
    let project = target::discover_project(working_directory, home.as_deref(), &command.argv, &typed.app);
    let services = named_services(&typed.service, working_directory, project.main.as_deref(), owner)?;
    let fail_on = fail_on::conditions(&typed.fail_on)?;
    let norms = norms(typed.norms.as_deref(), project.main.as_deref(), owner)?;
    let follow_peers = follow_peers(&typed.follow_peers, &services)?;
    let on_command_line = named_services(&typed.service, working_directory, None, owner)?;
    let added = added(&services, on_command_line, &follow_peers);
    let baseline = match (&typed.baseline_file, typed.no_baseline) {
        (Some(file), _) => BaselinePlan::Reuse(working_directory.join(file)),
        (None, true) => BaselinePlan::None,
        (None, false) => BaselinePlan::Measure(Schedule { warmups: typed.warmup, runs: typed.runs }),
    };
    let out = match &typed.out {
        Some(directory) => working_directory.join(directory),
        None => working_directory.join(".optimization").join(report::slug(&wanted.name)),
    };
    Ok(TracePlan {
        command,
        project,
        services,
        added,
        owner,
        out,
        baseline,
        sample_hz: typed.freq,
        stack_bytes: typed.stack_bytes,
        detail_memory: typed.detail_memory,
        single_probes: typed.single_probes,
        python: typed.python.into(),
        lose_arrivals: typed.lose_arrivals,
        escalate: !typed.no_escalate,
        instrument: typed.allow_instrumentation,
        tracemalloc: typed.tracemalloc,
        allocations: typed.allocations,
        backend: typed.backend,
        follow_peers,
        output,
        fail_on,
        norms,
        work: work_plan(&typed.work)?,
        own_profiles: own_profiles::sources(&typed.pprof, working_directory)?,
    })
}

/// What is given up of so many MiB of events is read by the same rules as what stays.
pub fn detail(mib: u32) -> collect::Detail {
    collect::Detail { bytes: (mib as usize) << 20, fold: flows::fold }
}

/// `no`, `host`, or names; `services`: what the user named himself.
pub fn follow_peers(typed: &[String], services: &[NamedService]) -> Result<FollowPeers, Failure> {
    match typed {
        [only] if only == "no" => Ok(FollowPeers::No),
        [only] if only == "host" => Ok(FollowPeers::Host),
        names => match names.iter().find(|name| matches!(name.as_str(), "" | "no" | "host")) {
            Some(wrong) => Err(Failure::Usage {
                what: format!("--follow-peers takes no, host, or names of services, not {wrong:?} among names"),
                hint: Some("--follow-peers redis-server,billing follows these two and nothing else".into()),
            }),
            None => Ok(FollowPeers::Named(Named {
                names: names.to_vec(),
                services: services.to_vec(),
                program: map::program,
            })),
        },
    }
}

/// Of the services that have a name, those that are followed from the beginning: where `--follow-peers` lists names, what
/// has one of them; else what was named on the command line.
fn added(services: &[NamedService], typed: Vec<NamedService>, follow: &FollowPeers) -> Vec<ServiceSelector> {
    match follow {
        FollowPeers::No => Vec::new(),
        FollowPeers::Host => typed.into_iter().map(|service| service.is).collect(),
        FollowPeers::Named(Named { names, .. }) => {
            services.iter().filter(|service| names.contains(&service.name)).map(|service| service.is.clone()).collect()
        }
    }
}

/// A name that nothing here has is a mistake in it: it would do nothing, and say nothing.
pub fn check_followed(follow: &FollowPeers) -> Result<(), Failure> {
    let missed = match follow {
        FollowPeers::No | FollowPeers::Host => None,
        // Without root the others' ports cannot be seen, and nobody is followed.
        FollowPeers::Named(named) if nix::unistd::geteuid().is_root() => named.missed(),
        FollowPeers::Named(_) => None,
    };
    let Some((missed, candidates)) = missed else { return Ok(()) };
    let hint = if candidates.is_empty() {
        "no service listens on this machine".to_owned()
    } else {
        format!("what listens here: {}", candidates.join(", "))
    };
    Err(Failure::Usage {
        what: format!("--follow-peers: nothing that runs here is called {}", missed.join(" or ")),
        hint: Some(hint),
    })
}

/// argv as text.
pub fn words(command: &Command) -> Vec<String> {
    command.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

pub fn output_plan(format: Format, print: Option<&str>, min_share_pct: f64) -> Result<OutputPlan, Failure> {
    if !(0.0..=100.0).contains(&min_share_pct) {
        return Err(Failure::Usage {
            what: format!("--min-share is {min_share_pct}, but a share lies between 0 and 100 percent"),
            hint: None,
        });
    }
    let print = match print {
        None => false,
        Some("-") => true,
        Some(other) => {
            return Err(Failure::Usage {
                what: format!("-o takes only -, not {other}"),
                hint: Some("--out DIR chooses where the files go".into()),
            });
        }
    };
    Ok(OutputPlan { format, print, min_share: min_share_pct / 100.0 })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::args::{Args, Subcommand},
        target::EnvironmentSource,
    };

    fn typed(words: &[&str]) -> Result<TraceArgs, clap::Error> {
        let all = ["perfmap", "trace"].iter().chain(words);
        Args::try_parse_from(all).map(|args| match args.command {
            Subcommand::Trace(typed) => typed,
            other => panic!("{other:?}"),
        })
    }

    fn planned(words: &[&str]) -> Result<TracePlan, Failure> {
        let invocation = Invocation {
            identity: None,
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            source: EnvironmentSource::Own,
            owner: Some((1000, 1000)),
        };
        let (typed, here) = (typed(words).expect("parses"), Path::new("/srv/app"));
        let wanted = Wanted::typed(&typed.command, here);
        trace_plan(&typed, wanted, here, invocation)
    }

    #[test]
    fn defaults() {
        let plan = planned(&["--", "sh"]).expect("a plan");
        assert_eq!(plan.out, Path::new("/srv/app/.optimization/sh"));
        assert_eq!(plan.baseline, BaselinePlan::Measure(Schedule { warmups: 1, runs: 3 }));
        assert_eq!((plan.sample_hz, plan.stack_bytes, plan.owner), (99, 32768, Some(Owner { uid: 1000, gid: 1000 })));
        assert_eq!(plan.output, OutputPlan { format: Format::Yaml, print: false, min_share: 0.01 });
        assert!(!plan.command.stdout_to_stderr);
        let collect = plan.collect(Mode::Count, Peers::default());
        assert_eq!((collect.mode, collect.wait_threshold), (Mode::Count, WAIT_THRESHOLD));
    }

    #[test]
    fn peers_are_followed_unless_told_otherwise() {
        let follow = |words: &[&str]| planned(words).map(|plan| plan.follow_peers);
        assert_eq!(follow(&["--", "sh"]).ok(), Some(FollowPeers::Host));
        assert_eq!(follow(&["--follow-peers", "no", "--", "sh"]).ok(), Some(FollowPeers::No));
        let names = vec!["redis".into(), "api".into()];
        let named = FollowPeers::Named(Named { names, services: Vec::new(), program: map::program });
        assert_eq!(follow(&["--follow-peers", "redis,api", "--", "sh"]).ok(), Some(named.clone()));
        assert_eq!(follow(&["--follow-peers=redis", "--follow-peers=api", "--", "sh"]).ok(), Some(named));
        let refused = follow(&["--follow-peers", "redis,host", "--", "sh"]).expect_err("not both");
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn options_of_the_command_are_its_own() {
        let plan = planned(&["--runs", "5", "sh", "--runs", "7", "-q"]).expect("a plan");
        assert_eq!(plan.command.argv, ["sh", "--runs", "7", "-q"]);
        assert_eq!(plan.baseline, BaselinePlan::Measure(Schedule { warmups: 1, runs: 5 }));
    }

    #[test]
    fn services_with_a_name_are_added() {
        let both = ["--service", "api=port:1", "--service", "db=port:2"];
        let added = |more: &[&str]| planned(&[&both, more, &["sh"]].concat()).expect("a plan").added;
        assert_eq!(added(&[]), [ServiceSelector::Port(1), ServiceSelector::Port(2)]);
        assert_eq!(added(&["--follow-peers", "db"]), [ServiceSelector::Port(2)]);
        assert_eq!(added(&["--follow-peers", "no"]), []);
    }

    #[test]
    fn printing_the_map_keeps_the_commands_output_away() {
        assert!(planned(&["-o", "-", "--", "sh"]).expect("a plan").command.stdout_to_stderr);
        let refused = planned(&["-o", "file", "--", "sh"]).expect_err("only -");
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn other_baselines() {
        assert_eq!(planned(&["--no-baseline", "sh"]).expect("a plan").baseline, BaselinePlan::None);
        let reuse = planned(&["--baseline-file", "b.json", "sh"]).expect("a plan").baseline;
        assert_eq!(reuse, BaselinePlan::Reuse("/srv/app/b.json".into()));
        assert!(typed(&["--no-baseline", "--runs", "2", "sh"]).is_err());
        assert!(typed(&["--freq", "0", "sh"]).is_err());
        assert!(typed(&["--runs", "0", "sh"]).is_err());
        assert!(typed(&[]).is_err());
    }

    #[test]
    fn a_missing_command_is_refused_before_anything_starts() {
        assert_eq!(planned(&["--", "no-such-program-here"]).expect_err("missing").exit_code(), 127);
        assert_eq!(planned(&["--", "/etc/passwd"]).expect_err("no program").exit_code(), 126);
        assert_eq!(planned(&["--min-share", "101", "sh"]).expect_err("over 100").exit_code(), 2);
        assert_eq!(planned(&["--min-share", "nan", "sh"]).expect_err("no number").exit_code(), 2);
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        for sub in Args::command().get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let text = sub.clone().render_long_help().to_string();
            assert!(text.contains("Examples:"), "{} --help has no examples", sub.get_name());
        }
    }
}
