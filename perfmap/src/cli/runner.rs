//! One run: launch held, collect, pass signals on meanwhile.

use std::{io::IsTerminal, time::Instant};

use super::{
    args::Backend, capture::Capture, console::Console, errors::Failure, java_names, own_profiles::Reader,
    plan::TracePlan,
};
use crate::{
    collect::{self, AllocationPlan, CollectError, Control, FollowPeers, Means, Mode, Outcome, Peer, Peers, Progress},
    recording::{Ending, Nanos},
    target::{self, Escalation, Held, Remote, Signals, Step},
};

#[derive(Debug)]
pub struct Runner<'a> {
    plan: &'a TracePlan,
    signals: Signals,
    escalation: Escalation,
    began: Instant,
    /// Set where it is not eBPF that collects.
    without: Option<Without>,
    /// Services that the warm-up runs met.
    peers: Vec<Peer>,
    /// What the runs so far used.
    tls_libraries: Vec<collect::TlsUse>,
    allocations: Option<AllocationPlan>,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its figures are discarded; it also learns whom the command talks to.
    WarmUp,
    /// Nothing but counts.
    Count,
    Profile,
    /// Profiled again, at this rate.
    Closer {
        sample_hz: u32,
    },
    /// Profiled again, with probes at allocators.
    Allocations,
}

/// What collects in eBPF's place.
#[derive(Debug, Clone)]
struct Without {
    means: Means,
    /// Why, what is lost, and what would give more.
    lost: String,
}

/// What the runs so far have taught the next one.
#[derive(Debug, Default)]
pub struct Learned {
    without: Option<Without>,
    peers: Vec<Peer>,
    tls_libraries: Vec<collect::TlsUse>,
}

impl Learned {
    pub fn is_without_ebpf(&self) -> bool {
        self.without.is_some()
    }
}

impl<'a> Runner<'a> {
    pub fn new(plan: &'a TracePlan, learned: Learned) -> Result<Runner<'a>, Failure> {
        let Learned { without, peers, tls_libraries } = learned;
        let signals =
            Signals::install().map_err(|error| Failure::Internal { what: format!("signal handlers: {error}") })?;
        Ok(Runner {
            plan,
            signals,
            escalation: Escalation::default(),
            began: Instant::now(),
            without,
            peers,
            tls_libraries,
            allocations: None,
        })
    }

    /// In the runs that are for it.
    pub fn look_at(&mut self, allocations: AllocationPlan) {
        self.allocations = Some(allocations);
    }

    pub fn learned(self) -> Learned {
        Learned { without: self.without, peers: self.peers, tls_libraries: self.tls_libraries }
    }

    /// Fails where nothing was recorded; a command that fails is an outcome.
    pub fn run(&mut self, purpose: Purpose, console: &Console) -> Result<Outcome, Failure> {
        let (mode, follow) = match purpose {
            Purpose::WarmUp => (Mode::Count, self.plan.follow_peers.clone()),
            Purpose::Count => (Mode::Count, FollowPeers::No),
            Purpose::Profile | Purpose::Closer { .. } => (Mode::Profile, self.plan.follow_peers.clone()),
            // A service that others use is not slowed for it.
            Purpose::Allocations => (Mode::Profile, FollowPeers::No),
        };
        if !matches!(purpose, Purpose::Count | Purpose::Allocations) {
            let added = collect::running(&self.plan.added);
            let new: Vec<Peer> = added.into_iter().filter(|peer| !self.peers.contains(peer)).collect();
            self.peers.extend(new);
        }
        let known = if purpose == Purpose::Allocations { Vec::new() } else { self.peers.clone() };
        let peers = Peers { follow, known, watched: Vec::new() };
        let mut plan = collect::Plan { tls_libraries: self.beforehand(), ..self.plan.collect(mode, peers) };
        if let Purpose::Closer { sample_hz } = purpose {
            plan.sample_hz = sample_hz;
        }
        if purpose == Purpose::Allocations {
            plan.allocations.clone_from(&self.allocations);
        }
        let pattern = self.plan.work.progress.as_ref().filter(|_| purpose == Purpose::Profile);
        let capture = pattern.map(|pattern| Capture::begin(pattern, &self.plan.command)).transpose()?;
        let command =
            capture.as_ref().map_or_else(|| self.plan.command.clone(), |capture| capture.of(&self.plan.command));
        let own = (purpose == Purpose::Profile && !self.plan.own_profiles.is_empty())
            .then(|| Reader::begin(&self.plan.own_profiles, self.plan.owner));
        let asks_java = self.plan.java_names && mode == Mode::Profile;
        let names = std::cell::RefCell::new(None);
        let launch = || {
            let held = Held::spawn(&command)?;
            names.replace(asks_java.then(|| java_names::begin(&command, held.pid())));
            Ok(held)
        };
        let (signals, escalation, began) = (&self.signals, &mut self.escalation, self.began);
        let mut control = |_progress: &Progress, remote: &Remote| control(signals, escalation, now(began), remote);
        let asked_for = match self.plan.backend {
            Backend::Auto | Backend::Ebpf => None,
            Backend::Perf => Some(Means::Perf),
            Backend::Procfs => Some(Means::Procfs),
        };
        if self.without.is_none()
            && let Some(means) = asked_for
        {
            self.without = Some(asked(means)?);
        }
        let without = match &self.without {
            Some(without) => without.clone(),
            // Nothing is launched before the probes are loaded, so a refusal leaves nothing behind.
            None => match collect::run(&plan, launch, &mut control) {
                Err(
                    refused @ (CollectError::NoPrivilege { .. }
                    | CollectError::ForeignProc
                    | CollectError::Unsupported { .. }),
                ) if self.plan.backend == Backend::Auto => {
                    let without = next_best(&refused);
                    console.warning(&without.lost);
                    self.without.insert(without).clone()
                }
                outcome => return self.finish(outcome, capture, own, names.take(), purpose),
            },
        };
        let outcome = match collect::run_unprivileged(&plan, without.means, launch, &without.lost, &mut control) {
            // The command was held still, and is gone: it is started once more.
            Err(refused @ CollectError::NoPerfEvents { .. }) if self.plan.backend == Backend::Auto => {
                let without = instead_of_perf(&without.lost, &refused);
                console.warning(&without.lost);
                let lost = self.without.insert(without).clone();
                collect::run_unprivileged(&plan, lost.means, launch, &lost.lost, &mut control)
            }
            outcome => outcome,
        };
        self.finish(outcome, capture, own, names.take(), purpose)
    }

    /// What can be probed before the target starts: what earlier runs used, and what the command itself shows.
    fn beforehand(&self) -> Vec<collect::TlsUse> {
        let mut known = self.tls_libraries.clone();
        for path in target::programs(&self.plan.command) {
            if known.iter().all(|used| !used.is_of(&path)) {
                known.push(collect::TlsUse::of_program(path));
            }
        }
        known
    }

    fn finish(
        &mut self,
        outcome: Result<Outcome, CollectError>,
        capture: Option<Capture>,
        own: Option<Reader>,
        names: Option<java_names::Namer>,
        purpose: Purpose,
    ) -> Result<Outcome, Failure> {
        if self.escalation.at_once() {
            return Err(Failure::Interrupted { nothing_written: true });
        }
        let mut outcome = outcome?;
        if let Some(told) = capture.map(Capture::finish) {
            outcome.recording.work.progress = told.since(outcome.origin);
            outcome.recording.meta.notes.extend(told.note());
        }
        outcome.recording.meta.notes.extend(names.and_then(java_names::Namer::finish));
        if let Some(own) = own {
            own.finish(outcome.origin, &mut outcome.recording);
        }
        let late: Vec<Peer> = outcome.peers.iter().filter(|peer| !self.peers.contains(peer)).copied().collect();
        if purpose == Purpose::Profile && !late.is_empty() {
            outcome.recording.meta.notes.push(met_late(late.len()));
        }
        self.peers.extend(late);
        self.tls_libraries.clone_from(&outcome.tls_libraries);
        outcome.recording.meta.interrupted |=
            self.escalation.interrupted() || interrupted_by_terminal(outcome.recording.meta.ending);
        Ok(outcome)
    }

    /// SIGTERM and the like to perfmap: no further run is started.
    pub fn stop_signal(&self) -> Option<i32> {
        self.escalation.stop_signal()
    }
}

fn met_late(services: usize) -> String {
    let (services, were) =
        if services == 1 { ("a service".to_owned(), "was") } else { (format!("{services} services"), "were") };
    format!(
        "{services} that ran before the command {were} met only in the profiled run, not in a warm-up run: functions may be \
         missing from the work on the first request"
    )
}

/// A means that was asked for by name: it works, or it is an error.
fn asked(means: Means) -> Result<Without, CollectError> {
    collect::available(means)
        .map_err(|missing| CollectError::NoPrivilege { missing: format!("{}; {}", missing.what, missing.mend) })?;
    let lost = format!("collected by {}, as --backend says: {}", means.name(), means.lost());
    Ok(Without { means, lost })
}

/// The best that works where eBPF does not.
fn next_best(refused: &CollectError) -> Without {
    let without = |means: Means, why: &str, mend: &str| Without {
        means,
        // What would give more comes early: a narrow page cuts the end off.
        lost: format!("{why}; {mend}; {} is used, {}", means.name(), means.lost()),
    };
    if let CollectError::ForeignProc = refused {
        return without(Means::Counts, &refused.to_string(), collect::MOUNT_PROC);
    }
    let more = format!("for all of it {}", collect::remedy());
    match collect::available(Means::Perf) {
        Ok(()) => without(Means::Perf, &refused.to_string(), &more),
        Err(missing) => {
            let why = format!("{refused}, and {}", missing.what);
            without(Means::Procfs, &why, &format!("{more}, for functions: {}", missing.mend))
        }
    }
}

/// They were allowed of perfmap's own processes and are not of the command, as where perfmap's file has capabilities and
/// the command has none.
fn instead_of_perf(lost: &str, refused: &CollectError) -> Without {
    let used = format!("{} is used, {}", Means::Perf.name(), Means::Perf.lost());
    let why = lost.replace(&used, "").trim_end_matches([' ', ';']).to_owned();
    let lost = format!("{why}; {refused}; {} is used, {}", Means::Procfs.name(), Means::Procfs.lost());
    Without { means: Means::Procfs, lost }
}

pub fn now(began: Instant) -> Nanos {
    Nanos(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

pub fn control(signals: &Signals, escalation: &mut Escalation, now: Nanos, remote: &Remote) -> Control {
    let arrived = signals.take();
    let steps = arrived.into_iter().map(|signal| escalation.on_signal(signal, now)).collect::<Vec<_>>();
    for step in steps.into_iter().chain([escalation.on_tick(now)]).flatten() {
        match step {
            Step::Send(signal) => {
                remote.signal(signal);
            }
            Step::Suspend => {
                remote.signal(libc::SIGTSTP);
                signals.stop_self();
                remote.signal(libc::SIGCONT);
            }
            Step::StopAtOnce => {
                remote.signal(libc::SIGKILL);
                return Control::Abort;
            }
        }
    }
    Control::Continue
}

/// While the target has the terminal's foreground, Ctrl-C goes to it and not to us: its ending is all that tells.
pub fn interrupted_by_terminal(ending: Option<Ending>) -> bool {
    let by_interrupt = matches!(ending, Some(Ending::Killed(libc::SIGINT) | Ending::Exited(130)));
    by_interrupt && std::io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_perfs_place_says_both_reasons() {
        let lost = format!("no eBPF; sudo; perf is used, {}", Means::Perf.lost());
        let refused = CollectError::NoPerfEvents { why: "EACCES".into() };
        let Without { means, lost } = instead_of_perf(&lost, &refused);
        assert_eq!(means, Means::Procfs);
        let said = "no eBPF; sudo; perf events of the command are refused: EACCES; procfs is used, ";
        assert_eq!(lost, format!("{said}{}", Means::Procfs.lost()));
    }
}
