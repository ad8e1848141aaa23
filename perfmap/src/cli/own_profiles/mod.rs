//! `--pprof FILE|URL`: profiles that programs take of themselves → sums in the recording, beside what was observed.
//!
//! An address is asked again and again while the profiled run goes on, for a second or a few at a time: what the run's end cuts off
//! is then one short reading. A file is read at the run's end, and only where it is of this run. What fails is a
//! note with its reason, never an error.

mod http;
mod sum;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};

use super::{
    errors::Failure,
    read::{AsOwner, read_bounded},
};
use crate::{
    collect, pprof,
    recording::{Nanos, OwnProfile, ProcessId, Recording, ServiceSelector},
    report::{files::Owner, visible},
};
use http::{Address, Connector, FetchError};
use sum::Sums;

/// Sources of one run.
const SOURCES: usize = 8;
/// Of one profile, as it is packed.
const BYTES: u64 = 16 << 20;
/// Seconds of a reading, at first and later: a short run loses little at its end, a long one has few gaps.
const SHORT: u64 = 1;
const LONG: u64 = 5;
const SHORT_READINGS: u32 = 10;
/// A server that is not there yet is asked again.
const RETRY: Duration = Duration::from_millis(50);
/// Failures after one another that end it.
const FAILURES: u32 = 3;
/// A profile's clock is the wall clock, which is set now and then, and some tell whole seconds.
const CLOCKS_DIFFER: i128 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    File(PathBuf),
    Url(Address),
}

/// As typed → sources; refused before anything runs.
pub fn sources(typed: &[String], here: &Path) -> Result<Vec<ProfileSource>, Failure> {
    if typed.len() > SOURCES {
        return Err(Failure::Usage { what: format!("--pprof is given more than {SOURCES} times"), hint: None });
    }
    let one = |text: &String| {
        if !text.contains("://") {
            return Ok(ProfileSource::File(here.join(text)));
        }
        Address::parse(text).map(ProfileSource::Url).map_err(|why| Failure::Usage {
            what: format!("--pprof {text}: {why}"),
            hint: Some("http://127.0.0.1:6060/debug/pprof/profile is what Go's net/http/pprof has".into()),
        })
    };
    typed.iter().map(one).collect()
}

/// What one source gave, by CLOCK_MONOTONIC.
#[derive(Debug, Default)]
struct Taken {
    source: String,
    pid: Option<u32>,
    program: String,
    span: Option<(Nanos, Nanos)>,
    covered: Nanos,
    readings: u32,
    sums: Sums,
    failure: Option<String>,
}

/// Threads that ask while the run goes on. Dropped without an end they stop by themselves.
#[derive(Debug)]
pub struct Reader {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Taken>>,
    files: Vec<PathBuf>,
    owner: Option<Owner>,
    began: Moment,
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    monotonic: Nanos,
    since_1970: i128,
}

impl Moment {
    fn now() -> Moment {
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map(|time| Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
            .unwrap_or_default();
        Moment { monotonic, since_1970: nanos(SystemTime::now()) }
    }

    /// A time of the other clock by this one's.
    fn monotonic_at(self, since_1970: i128) -> Nanos {
        let at = i128::from(self.monotonic.0) + since_1970 - self.since_1970;
        Nanos(u64::try_from(at.max(0)).unwrap_or(u64::MAX))
    }
}

fn nanos(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX))
}

impl Reader {
    pub fn begin(sources: &[ProfileSource], owner: Option<Owner>) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut threads, mut files) = (Vec::new(), Vec::new());
        for source in sources {
            match source {
                ProfileSource::File(path) => files.push(path.clone()),
                ProfileSource::Url(address) => {
                    let (address, stop) = (address.clone(), Arc::clone(&stop));
                    let asks = thread::Builder::new().name("pprof".into()).spawn(move || ask(&address, &stop));
                    threads.extend(asks.ok());
                }
            }
        }
        Reader { stop, threads, files, owner, began: Moment::now() }
    }

    /// After the run's end: all that was taken goes into the recording.
    pub fn finish(mut self, origin: Nanos, recording: &mut Recording) {
        self.stop.store(true, Ordering::Relaxed);
        let asked: Vec<Taken> = self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect();
        let read: Vec<Taken> =
            self.files.iter().map(|path| of_file(path, self.owner, self.began, Moment::now())).collect();
        for taken in asked.into_iter().chain(read) {
            add(taken, origin, recording);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(address: &Address, stop: &AtomicBool) -> Taken {
    let mut taken = Taken { source: address.shown(), ..Taken::default() };
    let (mut failures, mut connector) = (0, Connector::default());
    while !stop.load(Ordering::Relaxed) && failures < FAILURES {
        let seconds = if taken.readings < SHORT_READINGS { SHORT } else { LONG };
        let (from, began) = (Moment::now(), Instant::now());
        match http::get(address, &mut connector, seconds, BYTES, stop).and_then(|bytes| Ok(pprof::read(&bytes)?)) {
            Ok(profile) => {
                failures = 0;
                taken.failure = None;
                if taken.pid.is_none() {
                    taken.pid = listener(address);
                }
                let to = Moment::now().monotonic;
                let told = u64::try_from(profile.duration_ns).unwrap_or(0);
                taken.covered = taken.covered.plus(Nanos(told).min(to.since(from.monotonic)));
                taken.span = Some((taken.span.map_or(from.monotonic, |(first, _)| first), to));
                if let Err(failure) = taken.take(&profile) {
                    taken.failure = Some(failure);
                    break;
                }
                // One that answers at once does not cover the time that it was asked for, and is not asked in a circle.
                if began.elapsed() < Duration::from_millis(200) {
                    pause(Duration::from_secs(seconds), stop);
                }
            }
            Err(FetchError::Stopped) => break,
            // It may not be up yet; when it was, it is gone.
            Err(why @ FetchError::Connect(_)) if taken.readings == 0 => {
                taken.failure = Some(why.to_string());
                pause(RETRY, stop);
            }
            Err(FetchError::Connect(_)) => break,
            Err(why) => {
                failures += 1;
                // A reading that breaks off is the program's end, as a rule.
                if taken.readings == 0 || failures == FAILURES {
                    taken.failure = Some(why.to_string());
                }
                pause(RETRY, stop);
            }
        }
    }
    taken
}

fn pause(length: Duration, stop: &AtomicBool) {
    let until = Instant::now() + length;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20).min(length));
    }
}

/// The process that listens there, where it is one of this machine and no other shares the port.
fn listener(address: &Address) -> Option<u32> {
    let port = address.is_loopback().then_some(address.port)?;
    match collect::running(&[ServiceSelector::Port(port)]).as_slice() {
        [only] => Some(only.pid),
        _ => None,
    }
}

fn of_file(path: &Path, owner: Option<Owner>, began: Moment, ended: Moment) -> Taken {
    let mut taken = Taken { source: path.display().to_string(), ..Taken::default() };
    if let Err(failure) = taken.take_file(path, owner, began, ended) {
        taken.failure = Some(failure);
    }
    taken
}

impl Taken {
    fn take(&mut self, profile: &pprof::Profile) -> Result<(), String> {
        self.sums.add(profile).map_err(|why| why.to_string())?;
        self.readings += 1;
        if self.program.is_empty() {
            self.program.clone_from(&profile.program);
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path, owner: Option<Owner>, began: Moment, ended: Moment) -> Result<(), String> {
        let bytes = read_bounded(path, owner, BYTES).map_err(|failure| failure.to_string())?;
        let profile = pprof::read(&bytes).map_err(|why| why.to_string())?;
        let written = {
            let _identity = AsOwner::begin(owner);
            std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_or(0, nanos)
        };
        let duration = profile.duration_ns.max(0);
        let (from, to) = match i128::from(profile.time_ns) {
            1.. => (i128::from(profile.time_ns), i128::from(profile.time_ns) + i128::from(duration)),
            // It says no time: when it was written is the latest that it can be about.
            _ => (written - i128::from(duration), written),
        };
        if to < began.since_1970 - CLOCKS_DIFFER || written < began.since_1970 - CLOCKS_DIFFER {
            return Err("it was made before this run, and is not of it".into());
        }
        if from > ended.since_1970 + CLOCKS_DIFFER {
            return Err("it says a time after this run".into());
        }
        self.span = Some((ended.monotonic_at(from), ended.monotonic_at(to)));
        self.covered = Nanos(duration.cast_unsigned());
        self.take(&profile)
    }
}

fn add(taken: Taken, origin: Nanos, recording: &mut Recording) {
    let Taken { source, pid, program, span, covered, readings, sums, failure } = taken;
    if let Some(why) = failure {
        let after = if readings > 0 { format!(" after {readings} readings") } else { String::new() };
        recording.meta.notes.push(visible(&format!("--pprof {source}: nothing more{after}: {why}")));
    } else if readings == 0 {
        recording.meta.notes.push(visible(&format!(
            "--pprof {source}: no reading was whole when the run ended (each takes {SHORT} s)"
        )));
    }
    if readings == 0 {
        return;
    }
    let process = match pid {
        Some(pid) => process_of_pid(recording, pid),
        None => process_of_program(recording, &program),
    };
    let wall = recording.meta.wall;
    let span = span.map(|(from, to)| (from.since(origin).min(wall), to.since(origin).min(wall)));
    recording.own_profiles.push(OwnProfile { source, process, program, span, covered, readings, kinds: sums.finish() });
}

fn process_of_pid(recording: &Recording, pid: u32) -> Option<ProcessId> {
    let at = recording.processes.iter().rposition(|process| process.pid == pid)?;
    u32::try_from(at).ok().map(ProcessId)
}

/// The only one that ran this program to its end; with several it is not known which.
fn process_of_program(recording: &Recording, program: &str) -> Option<ProcessId> {
    let runs = |process: &crate::recording::Process| {
        !program.is_empty() && process.images.last().is_some_and(|image| image.executable == program)
    };
    let mut found = (0..).zip(&recording.processes).filter(|(_, process)| runs(process)).map(|(at, _)| ProcessId(at));
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests;
