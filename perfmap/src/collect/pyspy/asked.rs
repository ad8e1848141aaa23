//! A process id → what its interpreter's threads run, read by a process apart (`served`), which is started with the first
//! question, ended where it does not answer in time, and started again for the others. Where the kernel lets a process's
//! ancestors alone read it (Yama, without CAP_SYS_PTRACE), no process apart could: it is read here then, with no more
//! rights than the target's own user has.

use std::{
    collections::BTreeSet,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    FRAMES, Interpreters, THREADS, ThreadFrames, Why, bounded,
    served::{Answer, Question, receive, send},
};
use crate::{
    collect::clock::monotonic_ns,
    recording::Nanos,
    target::{Capability, capabilities::Sets},
};

/// An answer takes a millisecond, on a loaded machine some more; the first one of a process, for which its files are
/// read, up to 30 ms, or a second where perfmap itself is not optimized.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether the run is over.
const LOOK: Duration = Duration::from_millis(20);
/// Once the run is over; and what is a long time without an answer by then.
const LEFT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_millis(500);
/// The subcommand that [`super::serve`] is behind.
pub const SUBCOMMAND: &str = "read-interpreters";

/// How a reader is started.
pub(in crate::collect) struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

pub(in crate::collect) enum Readers {
    Here(Box<Interpreters>),
    Apart(Apart),
}

pub(in crate::collect) struct Apart {
    program: Program,
    running: Option<Running>,
    /// CPU time of those that have ended.
    cpu: Nanos,
}

struct Running {
    child: Child,
    stream: UnixStream,
    /// Processes that it has answered for.
    met: BTreeSet<u32>,
}

/// One reading, by CLOCK_MONOTONIC.
#[derive(Debug)]
pub(in crate::collect) struct Sampled {
    pub at: u64,
    pub threads: Vec<ThreadFrames>,
}

impl Readers {
    pub(in crate::collect) fn new() -> Readers {
        match is_for_ancestors() && !Sets::now().permitted.has(Capability::SysPtrace) {
            true => Readers::Here(Box::new(Interpreters::new())),
            false => Readers::by(Program { path: "/proc/self/exe".into(), arguments: vec![SUBCOMMAND.to_owned()] }),
        }
    }

    pub(in crate::collect) fn by(program: Program) -> Readers {
        Readers::Apart(Apart { program, running: None, cpu: Nanos::ZERO })
    }

    /// `stop`: nobody waits for the answer any more.
    pub(in crate::collect) fn sample(&mut self, pid: u32, stop: &AtomicBool) -> Result<Sampled, Why> {
        let from = monotonic_ns();
        match self {
            Readers::Here(interpreters) => {
                let threads = interpreters.sample(pid)?;
                Ok(Sampled { at: from + monotonic_ns().saturating_sub(from) / 2, threads })
            }
            Readers::Apart(apart) => {
                let Answer { at, read } = apart.ask(pid, stop)?;
                let mut threads = read?;
                threads.truncate(THREADS);
                threads.iter_mut().for_each(bound);
                Ok(Sampled { at: at.clamp(from, monotonic_ns()), threads })
            }
        }
    }

    pub(in crate::collect) fn forget(&mut self, pid: u32) {
        match self {
            Readers::Here(interpreters) => interpreters.forget(pid),
            Readers::Apart(Apart { running: Some(running), .. }) => {
                running.met.remove(&pid);
                // One that is gone is found out by the next question.
                let _ = send(&mut running.stream, &Question::Forget(pid));
            }
            Readers::Apart(Apart { running: None, .. }) => {}
        }
    }

    /// What the processes apart used.
    pub(in crate::collect) fn finish(self) -> Nanos {
        match self {
            Readers::Here(_) => Nanos::ZERO,
            Readers::Apart(mut apart) => {
                apart.end();
                apart.cpu
            }
        }
    }
}

impl Apart {
    fn ask(&mut self, pid: u32, stop: &AtomicBool) -> Result<Answer, Why> {
        if self.running.is_none() {
            let running = start(&self.program).map_err(|error| Why::Refused(format!("no reader starts: {error}")))?;
            self.running = Some(running);
        }
        let Some(running) = &mut self.running else { return Err(Why::NotYet) };
        let patience = if running.met.contains(&pid) { PATIENCE } else { FIRST_PATIENCE };
        let began = Instant::now();
        let mut answer = Patient { stream: &running.stream, stop, until: began + patience, is_left: false };
        let answered = send(&mut &running.stream, &Question::Read(pid)).and_then(|()| receive(&mut answer));
        match answered {
            Ok(answer) => {
                running.met.insert(pid);
                Ok(answer)
            }
            Err(error) => {
                let waited = began.elapsed();
                let ended = self.end();
                Err(match (error.kind(), ended) {
                    (io::ErrorKind::TimedOut, _) if stop.load(Ordering::Relaxed) && waited < LONG => Why::Gone,
                    (io::ErrorKind::TimedOut, _) => {
                        Why::Lost(format!("it gave no answer for {:.1} s", waited.as_secs_f64()))
                    }
                    (io::ErrorKind::InvalidData, _) => Why::Lost("it gave an answer that is none".to_owned()),
                    (_, Some(ending)) => Why::Lost(ending),
                    (_, None) => Why::Lost(error.to_string()),
                })
            }
        }
    }

    /// How it ended, where it did so by itself.
    fn end(&mut self) -> Option<String> {
        let Running { mut child, stream, .. } = self.running.take()?;
        drop(stream);
        let (ended, cpu) = reap(&mut child);
        self.cpu = self.cpu.plus(cpu);
        ended
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(program: &Program) -> io::Result<Running> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_write_timeout(Some(PATIENCE))?;
    let mut command = Command::new(&program.path);
    // Its own group: what the terminal sends to perfmap's is not for it.
    command.args(&program.arguments).env_clear().current_dir("/").process_group(0);
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Running { child: command.spawn()?, stream: ours, met: BTreeSet::new() })
}

/// Ends it if it has not ended, and waits for it, which also tells what it used: the kernel counts that among our
/// children's, where the target's is looked up.
fn reap(child: &mut Child) -> (Option<String>, Nanos) {
    let (mut status, pid) = (0, child.id() as libc::pid_t);
    // SAFETY: an all-zero `rusage` is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // One whose end of the socket is closed is about to end by itself.
    for _ in 0..10 {
        // SAFETY: both point to values of ours that live for the call; the child has not been waited for.
        let waited = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
        match waited {
            0 => std::thread::sleep(Duration::from_millis(2)),
            _ if waited == pid => return (Some(ending(status)), cpu_of(&usage)),
            _ => return (None, Nanos::ZERO),
        }
    }
    let _ = child.kill();
    // SAFETY: as above.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited != pid {
        return (None, Nanos::ZERO);
    }
    // One that was about to end has its own ending still.
    let by_us = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
    ((!by_us).then(|| ending(status)), cpu_of(&usage))
}

fn ending(status: i32) -> String {
    match libc::WIFSIGNALED(status) {
        true => format!("it was ended by signal {}", libc::WTERMSIG(status)),
        false => format!("it ended with exit code {}", libc::WEXITSTATUS(status)),
    }
}

fn cpu_of(usage: &libc::rusage) -> Nanos {
    let nanos = |time: libc::timeval| Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000);
    nanos(usage.ru_utime).plus(nanos(usage.ru_stime))
}

/// Reads until a moment, or until nobody waits for it.
struct Patient<'a> {
    stream: &'a UnixStream,
    stop: &'a AtomicBool,
    until: Instant,
    /// The run is over.
    is_left: bool,
}

impl Read for Patient<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let now = Instant::now();
            if !self.is_left && self.stop.load(Ordering::Relaxed) {
                self.is_left = true;
                self.until = self.until.min(now + LEFT);
            }
            if now >= self.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let left = LOOK.min(self.until - now).max(Duration::from_millis(1));
            let mut asked = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut asked, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return { self.stream }.read(to),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The answer comes from a process that reads what is hostile.
fn bound(thread: &mut ThreadFrames) {
    thread.frames.truncate(FRAMES);
    for frame in &mut thread.frames {
        frame.function = bounded(&frame.function);
        frame.file = bounded(&frame.file);
    }
}

/// Yama's scope 1 and more: by ancestors alone, or with a privilege alone.
fn is_for_ancestors() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0")
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
