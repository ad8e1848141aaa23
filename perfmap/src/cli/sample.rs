//! `--sample`: a long run, of which a part is profiled. The command runs as it would without perfmap until the sample
//! begins, the results are written when it is over, and the command goes on to its end.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    args::AttachArgs,
    attach::attach_with,
    capture::{Capture, Told},
    console::Console,
    errors::{self, Failure},
    pipeline::{self, Destination},
    plan::TracePlan,
    progress::Progress,
    runner::{control, interrupted_by_terminal, now},
    scale_args::ScaleArgs,
    trace,
    work::{ScalePlan, WorkPlan, work_plan},
};
use crate::{
    collect::{self, Control, Mode, Outcome, Peers},
    recording::{Ending, Meta, Nanos, ProcessId, Recording, Sampled, TaskId, Work},
    report::files,
    target::{Escalation, Held, Remote, Running, Signals},
};

const TICK_MS: u16 = 20;
/// Parents of a process that are looked at.
const GENERATIONS: usize = 64;

pub fn sample(typed: &ScaleArgs, scale: &ScalePlan, length: Duration, console: &Console) -> Result<u8, Failure> {
    if let Some(pid) = typed.pid {
        return of_running(typed, pid, length, console);
    }
    let (mut plan, source) = trace::prepare(&typed.trace, console)?;
    plan.ask(scale);
    files::check_writable(&plan.out)?;
    let mut command = Sampling::begin(&plan)?;
    command.run_before(typed.after)?;
    let outcome = match command.window(&plan, length, console) {
        Ok(outcome) => outcome,
        Err(failure) => {
            // Someone's long run is not ended because it could not be watched.
            console.warning("the sample could not be taken; the command goes on");
            command.wait_for_end()?;
            return Err(failure);
        }
    };
    let (origin, told) = (outcome.origin, command.told());
    let progress = Progress::new(console, 1);
    let mut recording = trace::complete(&plan, None, of_command(outcome, command.remote.pid()), &progress);
    recording.source = source;
    command.describe(&mut recording, origin, &told, length);
    let more = trace::raw_files(&plan, &recording)?;
    let products = pipeline::products(&recording, &plan.output);
    let holding = products.holding(&plan.fail_on, &recording);
    let to = Destination { directory: &plan.out, owner: plan.owner };
    pipeline::deliver(&recording, products, more, &plan.output, to, console)?;
    let failed = pipeline::fail(&holding, console);
    if command.ended.is_none() {
        console.note("the sample is written; the command goes on, and perfmap ends with it (Ctrl-C reaches it)");
    }
    let (ending, interrupted) = command.wait_for_end()?;
    let code = errors::after_run(ending, interrupted);
    Ok(if code != 0 { code } else { failed.unwrap_or(0) })
}

/// It was attached to, but it is a command with a root, whose waits are its own and no service's for requests.
fn of_command(mut outcome: Outcome, pid: u32) -> Outcome {
    let recording = &mut outcome.recording;
    let Some(root) = recording.tasks.iter().position(|task| task.tid == pid) else { return outcome };
    let own = recording.tasks[root].process;
    let inside = |process: &ProcessId| {
        let parent = |process: &ProcessId| recording.processes.get(process.0 as usize)?.parent;
        std::iter::successors(Some(*process), parent).take(GENERATIONS).any(|above| above == own)
    };
    let outside: Vec<ProcessId> = recording.meta.outside.iter().filter(|process| !inside(process)).copied().collect();
    recording.meta =
        Meta { outside, attached: false, root: Some(TaskId(root as u32)), ..std::mem::take(&mut recording.meta) };
    outcome
}

/// A command that runs by itself, with its output passed on where progress is to be read in it.
struct Sampling {
    running: Running,
    remote: Remote,
    signals: Signals,
    escalation: Escalation,
    capture: Option<Capture>,
    began: Instant,
    /// The same by CLOCK_MONOTONIC.
    released: Nanos,
    ended: Option<Ending>,
    killed: bool,
}

impl Sampling {
    fn begin(plan: &TracePlan) -> Result<Sampling, Failure> {
        let signals =
            Signals::install().map_err(|error| Failure::Internal { what: format!("signal handlers: {error}") })?;
        let pattern = plan.work.progress.as_ref();
        let capture = pattern.map(|pattern| Capture::begin(pattern, &plan.command)).transpose()?;
        let command = capture.as_ref().map_or_else(|| plan.command.clone(), |capture| capture.of(&plan.command));
        let held = Held::spawn(&command)?;
        let remote = held.remote();
        let running = held.release()?;
        Ok(Sampling {
            running,
            remote,
            signals,
            escalation: Escalation::default(),
            capture,
            began: Instant::now(),
            released: monotonic(),
            ended: None,
            killed: false,
        })
    }

    /// Passes signals on and looks whether it has ended.
    fn look(&mut self) -> Result<(), Failure> {
        if self.ended.is_none() {
            let ended = self.running.try_wait();
            self.ended =
                ended.map_err(|error| Failure::Internal { what: format!("waiting for the command: {error}") })?;
        }
        self.killed |= control(&self.signals, &mut self.escalation, now(self.began), &self.remote) == Control::Abort;
        Ok(())
    }

    fn pause(&self) {
        let _ = poll(&mut [PollFd::new(self.running.pidfd().as_fd(), PollFlags::POLLIN)], PollTimeout::from(TICK_MS));
    }

    fn stopped(&self) -> bool {
        self.killed || self.escalation.interrupted() || self.escalation.stop_signal().is_some()
    }

    fn run_before(&mut self, length: Duration) -> Result<(), Failure> {
        while self.began.elapsed() < length {
            self.look()?;
            if self.stopped() || self.ended.is_some() && interrupted_by_terminal(self.ended) {
                self.wait_for_end()?;
                return Err(Failure::Interrupted { nothing_written: true });
            }
            if let Some(ending) = self.ended {
                return Err(too_short(self.began.elapsed(), Some(ending)));
            }
            self.pause();
        }
        Ok(())
    }

    fn window(&mut self, plan: &TracePlan, length: Duration, console: &Console) -> Result<Outcome, Failure> {
        let peers = Peers { follow: plan.follow_peers.clone(), known: Vec::new(), watched: vec![self.remote.pid()] };
        let collect = collect::Plan { tls_libraries: Vec::new(), ..plan.collect(Mode::Profile, peers) };
        let mut window = None;
        let mut broken = None;
        let outcome = collect::attach(&collect, &mut |_progress| {
            // Asked for the first time when all is attached.
            let window = *window.get_or_insert_with(|| {
                console.line(&format!("sampling   {length:?} of the running command"));
                Instant::now()
            });
            broken = self.look().err();
            let over = self.ended.is_some() || self.stopped() || window.elapsed() >= length;
            if over || broken.is_some() { Control::Abort } else { Control::Continue }
        })?;
        match broken {
            Some(failure) => Err(failure),
            None if outcome.recording.processes.is_empty() => Err(too_short(self.began.elapsed(), self.ended)),
            None => Ok(outcome),
        }
    }

    fn told(&self) -> Told {
        self.capture.as_ref().map(Capture::told).unwrap_or_default()
    }

    fn describe(&self, recording: &mut Recording, origin: Nanos, told: &Told, length: Duration) {
        let before = told.progress.iter().rev().find(|told| told.at < origin);
        recording.work.progress = told.since(origin);
        let within = told.progress.partition_point(|told| told.at < origin);
        recording.work.progress.drain(..within.min(recording.work.progress.len()));
        recording.work.sampled =
            Some(Sampled { ran_before: Some(origin.since(self.released)), done_before: before.map(|told| told.done) });
        let notes = &mut recording.meta.notes;
        if self.capture.is_some() {
            notes.extend(told.note());
        }
        if self.ended.is_some() {
            let seen = Duration::from_nanos(recording.meta.wall.0);
            notes.push(format!("the command ended {seen:.1?} into the sample, which was to last {length:?}"));
        }
    }

    /// How it ended, and whether Ctrl-C did it.
    fn wait_for_end(&mut self) -> Result<(Option<Ending>, bool), Failure> {
        while self.ended.is_none() && !self.killed {
            self.look()?;
            self.pause();
        }
        self.look()?;
        if let Some(capture) = self.capture.take() {
            capture.finish();
        }
        let interrupted = self.escalation.interrupted() || interrupted_by_terminal(self.ended);
        Ok((self.ended, interrupted))
    }
}

fn too_short(ran: Duration, ending: Option<Ending>) -> Failure {
    Failure::Usage {
        what: format!(
            "the command ended after {ran:.1?} ({}), before its sample could begin",
            errors::ending_text(ending)
        ),
        hint: Some("leave --sample out to profile the whole run, or begin earlier: --after 200ms".into()),
    }
}

/// The same as attaching to it, with what is said about its work.
fn of_running(typed: &ScaleArgs, pid: u32, length: Duration, console: &Console) -> Result<u8, Failure> {
    let trace = &typed.trace;
    let WorkPlan { said, progress: _ } = work_plan(&trace.work)?;
    let attach = AttachArgs {
        pid: vec![pid],
        container: vec![],
        unit: vec![],
        duration: Some(length),
        out: trace.out.clone(),
        freq: trace.freq,
        min_share: trace.min_share,
        app: trace.app.clone(),
        follow_peers: trace.follow_peers.clone(),
        service: trace.service.clone(),
        format: trace.format,
        print: trace.print.clone(),
        stack_bytes: trace.stack_bytes,
        detail_memory: trace.detail_memory,
        python: trace.python,
        pprof: trace.pprof.clone(),
    };
    let sampled = Some(Sampled { ran_before: age(pid), done_before: None });
    attach_with(&attach, Work { asked: true, sampled, ..said }, console)
}

/// Since its start, by /proc.
fn age(pid: u32) -> Option<Nanos> {
    let stat = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
    let now = now.tv_sec() as f64 + now.tv_nsec() as f64 / 1e9;
    let began = stat.starttime as f64 / procfs::ticks_per_second() as f64;
    (now >= began).then_some(Nanos(((now - began) * 1e9) as u64))
}

fn monotonic() -> Nanos {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    Nanos(time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
}
