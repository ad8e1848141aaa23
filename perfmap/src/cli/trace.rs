//! `perfmap trace`: plan → baseline → profiled run → recording → outputs, and the exit code.

use super::{
    args::TraceArgs,
    closer,
    console::Console,
    container_roots,
    discover::{self, Chosen},
    errors::{self, Failure},
    pipeline::{self, Destination},
    plan::{BaselinePlan, TracePlan, Wanted, check_followed, trace_plan, words},
    progress::Progress,
    read::read_bounded,
    runner::{Learned, Purpose, Runner},
    sweep::sweep,
    work::ScalePlan,
};
use crate::{
    baseline::{self, BaselineError, BaselineFile, FILE_LIMIT, Phase, RunResult, Schedule, Witness},
    collect::{self, Outcome},
    correlate::{CallKind, flows::flows},
    recording::{Baseline, ProcessId, Recording, Source, Work, file},
    report::{OutputFile, files},
    resolve,
    target::{self, EnvironmentSource, Invocation},
};

const RECORDING_NAME: &str = "recording.perfmap";
const BASELINE_NAME: &str = "baseline.json";

pub fn trace(typed: &TraceArgs, console: &Console) -> Result<u8, Failure> {
    run(typed, None, console)
}

/// `scale`: what is asked and done beside the trace.
pub fn run(typed: &TraceArgs, scale: Option<&ScalePlan>, console: &Console) -> Result<u8, Failure> {
    let (mut plan, source) = prepare(typed, console)?;
    if let Some(scale) = scale {
        plan.ask(scale);
    }
    let reused = match &plan.baseline {
        BaselinePlan::Reuse(path) => Some(reuse(path, &plan, console)?),
        BaselinePlan::Measure(_) | BaselinePlan::None => None,
    };
    files::check_writable(&plan.out)?;
    let mut progress = Progress::new(console, runs(&plan));
    let (baseline, outcome, learned) = all_runs(&plan, reused, &mut progress, console)?;
    let mut recording = complete(&plan, baseline, outcome, &progress);
    recording.source = source;
    closer::look(&plan, learned, &mut recording, &mut progress, console)?;
    let interrupted = scale.is_some_and(|scale| swept(&plan, scale, &mut recording, console));
    collect::drop_all_but_writing();
    let code = finish(&plan, &recording, console, &progress)?;
    Ok(if interrupted { errors::after_run(None, true) } else { code })
}

/// True: Ctrl-C ended the sweep. Whatever becomes of it, the profiled run is not lost.
fn swept(plan: &TracePlan, scale: &ScalePlan, recording: &mut Recording, console: &Console) -> bool {
    if scale.counts.is_empty() || recording.meta.interrupted {
        return false;
    }
    sweep(plan, scale, &mut recording.work, console).unwrap_or_else(|failure| {
        console.warning(&format!("the sweep ends here: {failure}"));
        false
    })
}

/// What was typed → what will be done.
pub fn prepare(typed: &TraceArgs, console: &Console) -> Result<(TracePlan, Option<Source>), Failure> {
    let working_directory =
        std::env::current_dir().map_err(|error| Failure::Input { path: "the working directory".into(), error })?;
    let invocation = Invocation::of_this_process(typed.as_root)?;
    if invocation.source == EnvironmentSource::Account {
        console.note("the environment of your shell could not be read: the command runs with sudo's, and a plain PATH");
    }
    let raw: Vec<_> = std::env::args_os().collect();
    let found = discover::chosen(&raw, &typed.command, typed.out.as_deref(), &working_directory, &invocation, console)?;
    let (wanted, source) = match found {
        Some(Chosen { name, argv, directory, source }) => (Wanted { argv, directory, name }, Some(source)),
        None => (Wanted::typed(&typed.command, &working_directory), None),
    };
    let mut plan = trace_plan(typed, wanted, &working_directory, invocation)?;
    check_followed(&plan.follow_peers)?;
    if let Some(asked) = target::asked_of(&plan.command).filter(|_| !typed.no_env) {
        target::ask(&mut plan.command, asked);
        console.note(&environment_note(asked));
    }
    Ok((plan, source))
}

/// What the command gets that it would not have without us, and what that leaves behind.
fn environment_note(asked: target::Asked) -> String {
    let target::Asked { variable, value, runtime } = asked;
    let what = match runtime {
        target::Runtime::Node => {
            "functions get names; Node leaves isolate-*-v8.log where it runs, and /tmp/perf-PID.map"
        }
        target::Runtime::Java => {
            "whole stacks, and jcmd lets it write its methods' names into /tmp/perf-PID.map; Java says so on standard error"
        }
        target::Runtime::DotNet => "methods get names; .NET leaves /tmp/perf-PID.map",
    };
    format!("the command's environment has {variable}={value} as well: {what} (--no-env: nothing is changed)")
}

fn runs(plan: &TracePlan) -> u32 {
    match plan.baseline {
        BaselinePlan::Measure(Schedule { warmups, runs }) => warmups + runs + 1,
        BaselinePlan::Reuse(_) | BaselinePlan::None => 1,
    }
}

fn reuse(path: &std::path::Path, plan: &TracePlan, console: &Console) -> Result<Baseline, Failure> {
    let bytes = read_bounded(path, plan.owner, FILE_LIMIT)?;
    let BaselineFile { version: _, command, mut baseline } =
        BaselineFile::decode(&bytes).map_err(|error| Failure::BaselineFile { path: path.to_owned(), error })?;
    if command != words(&plan.command) {
        console.warning(&format!("the baseline in {} is of another command: {}", path.display(), command.join(" ")));
    }
    baseline.reused_from = Some(path.display().to_string());
    Ok(baseline)
}

/// The handlers live as long as there is a target: afterwards Ctrl-C ends perfmap as any program.
fn all_runs(
    plan: &TracePlan,
    reused: Option<Baseline>,
    progress: &mut Progress<'_>,
    console: &Console,
) -> Result<(Option<Baseline>, Outcome, Learned), Failure> {
    let mut runner = Runner::new(plan, Learned::default())?;
    let baseline = match plan.baseline {
        BaselinePlan::Measure(schedule) => Some(measure(schedule, &mut runner, progress, console)?),
        BaselinePlan::Reuse(_) | BaselinePlan::None => reused,
    };
    progress.begin(None);
    let outcome = runner.run(Purpose::Profile, console)?;
    progress.end(outcome.recording.observed());
    Ok((baseline, outcome, runner.learned()))
}

fn measure(
    schedule: Schedule,
    runner: &mut Runner<'_>,
    progress: &mut Progress<'_>,
    console: &Console,
) -> Result<Baseline, Failure> {
    let mut witness = Witness::of_own_output();
    let mut run = |phase: Phase| {
        progress.begin(Some(phase));
        witness = Witness::of_own_output();
        let purpose = match phase {
            Phase::WarmUp { .. } => Purpose::WarmUp,
            Phase::Counted { .. } => Purpose::Count,
        };
        let outcome = runner.run(purpose, console)?;
        if let Some(signal) = runner.stop_signal() {
            return Err(Failure::Stopped(signal));
        }
        let meta = &outcome.recording.meta;
        progress.end(outcome.recording.observed());
        let flows = flows(&outcome.recording);
        let trips = [flows.count(CallKind::is_web), flows.count(CallKind::is_store)];
        Ok(RunResult {
            metrics: baseline::metrics(&outcome, trips),
            ending: meta.ending,
            interrupted: meta.interrupted,
        })
    };
    let measured = baseline::measure(schedule, &mut run, &mut |_| {});
    measured.map_err(|error| match error {
        BaselineError::CommandFailed { phase, ending } => {
            Failure::FailsUnprofiled { phase, ending, last_lines: witness.last_lines() }
        }
        BaselineError::Interrupted => Failure::Interrupted { nothing_written: true },
        BaselineError::Run(failure) => failure,
    })
}

/// Adds what only this side knows, while the traced files are still where they were.
pub fn complete(plan: &TracePlan, baseline: Option<Baseline>, outcome: Outcome, progress: &Progress<'_>) -> Recording {
    let Outcome { mut recording, origin: _, files, memory: _, peers: _, tls_libraries: _, allocations: _ } = outcome;
    let meta = &mut recording.meta;
    meta.command = words(&plan.command);
    meta.working_directory.clone_from(&plan.command.working_directory);
    meta.project_roots = plan.project.roots.clone();
    meta.app_globs = plan.project.app_globs.clone();
    meta.services.clone_from(&plan.services);
    meta.norms.clone_from(&plan.norms);
    recording.baseline = baseline;
    recording.work = Work { progress: std::mem::take(&mut recording.work.progress), ..plan.work.said.clone() };
    let outside = recording.meta.outside.clone();
    add_projects(&mut recording, |id| outside.binary_search(&id).is_ok());
    container_roots::add(&mut recording);
    let _stage = progress.stage("naming functions");
    resolve::native::symbolize(&mut recording, &files);
    recording
}

/// The code of a service that ran already is its own project's.
pub fn add_projects(recording: &mut Recording, of: impl Fn(ProcessId) -> bool) {
    let ids = (0..recording.processes.len() as u32).map(ProcessId).filter(|id| of(*id));
    let found: Vec<_> = ids
        .filter_map(|id| {
            let process = recording.process(id);
            let image = process.images.last()?;
            target::project_of_process(process.pid, std::path::Path::new(&image.working_directory))
        })
        .collect();
    for root in found {
        target::add_root(&mut recording.meta.project_roots, root);
    }
}

fn finish(plan: &TracePlan, recording: &Recording, console: &Console, progress: &Progress<'_>) -> Result<u8, Failure> {
    let stage = progress.stage("writing the map");
    let more = raw_files(plan, recording)?;
    let products = pipeline::products(recording, &plan.output);
    drop(stage);
    let holding = products.holding(&plan.fail_on, recording);
    let to = Destination { directory: &plan.out, owner: plan.owner };
    pipeline::deliver(recording, products, more, &plan.output, to, console)?;
    let meta = &recording.meta;
    let code = errors::after_run(meta.ending, meta.interrupted);
    if code != 0 {
        // The report has it among its warnings; a quiet run has no report.
        console.without_report(&format!("the profiled run ended with {}", errors::ending_text(meta.ending)));
    }
    // How the command ended comes first.
    let failed = pipeline::fail(&holding, console);
    Ok(if code != 0 { code } else { failed.unwrap_or(0) })
}

pub fn recording_file(recording: &Recording) -> Result<OutputFile, Failure> {
    let bytes = file::encode(recording).map_err(|error| Failure::Internal { what: error.to_string() })?;
    Ok(OutputFile { name: RECORDING_NAME.into(), bytes })
}

/// What was observed, as against what is concluded from it.
pub fn raw_files(plan: &TracePlan, recording: &Recording) -> Result<Vec<OutputFile>, Failure> {
    let mut raw = vec![recording_file(recording)?];
    if let (BaselinePlan::Measure(_), Some(baseline)) = (&plan.baseline, &recording.baseline) {
        let bytes = BaselineFile::new(recording.meta.command.clone(), baseline.clone())
            .encode()
            .map_err(|error| Failure::Internal { what: format!("the baseline file: {error}") })?;
        raw.push(OutputFile { name: BASELINE_NAME.into(), bytes });
    }
    Ok(raw)
}
