//! A process id → what its interpreter's threads run, read from outside by the py-spy crate without stopping the
//! process: for interpreters whose layout our own table does not know, and for where there are no kernel probes.
//!
//! A reading is no snapshot: the process runs on while its frames are copied, so some readings fail (1 to 2 % while it
//! calls much) and are an answer of their own. The crate maps the interpreter's files; what it may be given is looked
//! at before (`unwind::python::may_be_given`), and if it panics over one, that process is given up.
//! Knows nothing of time or rates: whoever asks decides when. It is a process of its own that reads (`pyspy/served`).

mod asked;
mod served;

use std::{
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use py_spy::{
    PythonSpy, StackTrace,
    config::{Config, LineNo, LockingStrategy},
};
use serde::{Deserialize, Serialize};

use super::process;
use crate::unwind::python::may_be_given;
#[cfg(test)]
pub(super) use asked::Program;
pub use asked::SUBCOMMAND as READ_INTERPRETERS;
pub(super) use asked::{Readers, Sampled};
pub use served::serve;

/// An interpreter needs some 10 ms to be there after an execve, much more on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);
const FRAMES: usize = 512;
const THREADS: usize = 1024;
const NAME_CHARACTERS: usize = 512;
/// First lines that are remembered of one process.
const FUNCTIONS: usize = 1 << 16;
/// `struct pthread.tid` of glibc and of musl on x86-64: an id that is not one of the process's threads is not believed.
const THREAD_ID_AT: [u64; 2] = [720, 48];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PyFrame {
    /// Qualified from 3.11 on.
    pub function: String,
    pub file: String,
    /// 0: not told.
    pub line: u32,
    /// Where the function begins; 0: not told.
    pub first_line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ThreadFrames {
    /// As perfmap's own PID namespace counts.
    pub tid: u32,
    /// It was not running when it was looked at, by the kernel or by what it was in.
    pub is_idle: bool,
    /// Leaf first.
    pub frames: Vec<PyFrame>,
}

/// Why there are no frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(super) enum Why {
    #[error("no interpreter is to be seen yet")]
    NotYet,
    #[error("the process is gone")]
    Gone,
    /// This one failed; the next may not.
    #[error("its frames changed while they were read: {0}")]
    Torn(String),
    /// The process that reads it hung or died over it.
    #[error("the process that reads it was lost: {0}")]
    Lost(String),
    /// For good.
    #[error("{0}")]
    Refused(String),
}

/// One reader for each process that was asked about.
pub(super) struct Interpreters {
    known: HashMap<u32, State>,
    config: Config,
}

enum State {
    Trying { since: Instant, next: Instant },
    Reading(Box<Reader>),
    Refused(String),
}

struct Reader {
    spy: PythonSpy,
    /// Its first thread's id as the interpreter may tell it: another one in a PID namespace of its own.
    is_elsewhere: bool,
    first_lines: FirstLines,
}

/// First lines by file and function: the crate tells either these or where a frame stands, so a function that is new
/// is read once more for it.
#[derive(Default)]
struct FirstLines {
    known: HashMap<(String, String), BTreeSet<u32>>,
}

impl Interpreters {
    pub(super) fn new() -> Interpreters {
        let config = Config {
            blocking: LockingStrategy::NonBlocking,
            lineno: LineNo::LastInstruction,
            native: false,
            dump_locals: 0,
            collect_thread_names: false,
            ..Config::default()
        };
        Interpreters { known: HashMap::new(), config }
    }

    /// What is known of it is over: execve, exit.
    pub(super) fn forget(&mut self, pid: u32) {
        self.known.remove(&pid);
    }

    /// Takes 0.3 to 0.6 ms; the first time for a process up to 30 ms.
    pub(super) fn sample(&mut self, pid: u32) -> Result<Vec<ThreadFrames>, Why> {
        let now = Instant::now();
        let state = self.known.entry(pid).or_insert(State::Trying { since: now, next: now });
        if let State::Trying { since, next } = state {
            if now < *next {
                return Err(Why::NotYet);
            }
            *next = now + RETRY;
            let late = now.duration_since(*since) > PATIENCE;
            match open(pid, &self.config) {
                Ok(reader) => *state = State::Reading(Box::new(reader)),
                Err(Why::Refused(why)) => *state = State::Refused(why),
                Err(Why::Torn(why)) if late => *state = State::Refused(why),
                Err(Why::NotYet | Why::Torn(_)) => return Err(Why::NotYet),
                Err(why @ (Why::Gone | Why::Lost(_))) => return Err(why),
            }
        }
        match state {
            State::Trying { .. } => Err(Why::NotYet),
            State::Refused(why) => Err(Why::Refused(why.clone())),
            State::Reading(reader) => match reader.sample(pid) {
                Err(Why::Refused(why)) => {
                    *state = State::Refused(why.clone());
                    Err(Why::Refused(why))
                }
                other => other,
            },
        }
    }
}

fn open(pid: u32, config: &Config) -> Result<Reader, Why> {
    let signed = i32::try_from(pid).map_err(|_| Why::Gone)?;
    if process::stat(pid).is_none() {
        return Err(Why::Gone);
    }
    may_be_given(pid).map_err(Why::Refused)?;
    let spy = catch_unwind(|| PythonSpy::new(signed, config))
        .map_err(|_| Why::Refused("py-spy panicked over its files".to_owned()))?
        .map_err(|error| Why::Torn(format!("{error:#}")))?;
    let status = String::from_utf8_lossy(&process::bytes(pid, "status", 1 << 16)).into_owned();
    Ok(Reader { spy, is_elsewhere: ids(&status).len() > 1, first_lines: FirstLines::default() })
}

impl Reader {
    fn sample(&mut self, pid: u32) -> Result<Vec<ThreadFrames>, Why> {
        let traces = self.read(pid, LineNo::LastInstruction)?;
        let frames = traces.iter().flat_map(|trace| trace.frames.iter().take(FRAMES));
        if frames.clone().any(|frame| !self.first_lines.knows(&frame.filename, &frame.name)) {
            // What is new is read again for where it begins. Failing costs only that.
            for trace in self.read(pid, LineNo::First).unwrap_or_default() {
                self.first_lines.learn(&trace);
            }
        }
        let threads = tasks(pid);
        let mut inner = HashMap::new();
        if self.is_elsewhere {
            for tid in &threads {
                let status = process::bytes(pid, &format!("task/{tid}/status"), 1 << 16);
                if let Some(id) = ids(&String::from_utf8_lossy(&status)).last() {
                    inner.insert(*id, *tid);
                }
            }
        }
        let mut found = Vec::new();
        for trace in traces.into_iter().take(THREADS) {
            let told = match trace.os_thread_id {
                Some(id) => u32::try_from(id).ok(),
                None => thread_id(pid, trace.thread_id, |id| inner.contains_key(&id) || threads.contains(&id)),
            };
            let tid = match told {
                Some(id) if self.is_elsewhere => inner.get(&id).copied(),
                Some(id) => threads.contains(&id).then_some(id),
                None => None,
            };
            let Some(tid) = tid else { continue };
            // Without an id from the interpreter the crate knows nothing of the kernel's view.
            let sleeps = trace.os_thread_id.is_none_or(|_| self.is_elsewhere) && is_asleep(pid, tid);
            let frames = trace.frames.iter().take(FRAMES).map(|frame| self.first_lines.frame(frame)).collect();
            found.push(ThreadFrames { tid, is_idle: sleeps || !trace.active, frames });
        }
        Ok(found)
    }

    fn read(&mut self, pid: u32, lines: LineNo) -> Result<Vec<StackTrace>, Why> {
        let spy = &mut self.spy;
        spy.config.lineno = lines;
        let read = catch_unwind(AssertUnwindSafe(|| spy.get_stack_traces()))
            .map_err(|_| Why::Refused("py-spy panicked over its frames".to_owned()))?;
        // Names by file are of no use here, and the crate keeps them for ever.
        spy.short_filenames.clear();
        read.map_err(|error| match process::stat(pid) {
            Some(_) => Why::Torn(format!("{error:#}")),
            None => Why::Gone,
        })
    }
}

impl FirstLines {
    fn knows(&self, file: &str, function: &str) -> bool {
        self.known.len() >= FUNCTIONS || self.known.contains_key(&(file.to_owned(), function.to_owned()))
    }

    fn learn(&mut self, trace: &StackTrace) {
        for frame in trace.frames.iter().take(FRAMES) {
            if let Ok(line @ 1..) = u32::try_from(frame.line)
                && self.known.len() < FUNCTIONS
            {
                self.known.entry((frame.filename.clone(), frame.name.clone())).or_default().insert(line);
            }
        }
    }

    /// Of several functions of one name, the last that begins before the line.
    fn frame(&self, frame: &py_spy::Frame) -> PyFrame {
        let line = u32::try_from(frame.line).unwrap_or(0);
        let known = self.known.get(&(frame.filename.clone(), frame.name.clone()));
        let first_line = known.and_then(|lines| lines.range(..=line).next_back().copied()).unwrap_or(0);
        PyFrame { function: bounded(&frame.name), file: bounded(&frame.filename), line, first_line }
    }
}

fn bounded(name: &str) -> String {
    name.chars().take(NAME_CHARACTERS).collect()
}

/// Ids of a process's or thread's status, ours first, its own last.
fn ids(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).take(32).collect()
}

fn tasks(pid: u32) -> BTreeSet<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(THREADS).collect()
}

/// Before 3.11 the interpreter knows its threads by the address of libc's description of them alone.
fn thread_id(pid: u32, pthread: u64, is_thread: impl Fn(u32) -> bool) -> Option<u32> {
    use nix::sys::uio::{RemoteIoVec, process_vm_readv};
    THREAD_ID_AT.iter().find_map(|offset| {
        let mut bytes = [0; 4];
        let from = [RemoteIoVec { base: usize::try_from(pthread.checked_add(*offset)?).ok()?, len: 4 }];
        let to = &mut [std::io::IoSliceMut::new(&mut bytes)];
        let count = process_vm_readv(nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?), to, &from).ok()?;
        let id = u32::from_ne_bytes(bytes);
        (count == 4 && is_thread(id)).then_some(id)
    })
}

fn is_asleep(pid: u32, tid: u32) -> bool {
    let stat = process::bytes(pid, &format!("task/{tid}/stat"), 4096);
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
    state.is_some_and(|state| *state != b'R')
}

#[cfg(test)]
#[path = "pyspy_tests.rs"]
mod tests;
