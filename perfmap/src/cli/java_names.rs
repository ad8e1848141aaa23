//! A command that is Java → the names of its compiled methods, written by the JVM itself into /tmp/perf-PID.map while the
//! profiled run goes on: `jcmd PID Compiler.perfmap` of the same JDK (17 and later), as the command's own user.
//!
//! Methods are compiled as the program goes on, so it is asked again at growing intervals. jcmd knocks by SIGQUIT, which ends
//! a JVM that does not listen yet: it is asked only when the process catches that signal.

use std::{
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::target::{self, Identity};

/// From the first look at a JVM that listens on; doubled each time. A question costs a start of jcmd: 0.2 s of a CPU (measured).
const FIRST: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(60);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// Bit of SIGQUIT in /proc's masks.
const SIGQUIT: u64 = 1 << (libc::SIGQUIT - 1);
const STATUS_BYTES: usize = 64 << 10;

/// Asks while the run goes on; dropped without an end it stops by itself.
#[derive(Debug)]
pub struct Namer {
    stop: Arc<AtomicBool>,
    asks: Option<JoinHandle<Told>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    answers: u32,
    hindrance: Option<&'static str>,
}

/// Of the processes that the command becomes, the one with this id.
pub fn begin(command: &target::Command, pid: u32) -> Namer {
    let stop = Arc::new(AtomicBool::new(false));
    let (identity, over) = (command.identity.clone(), Arc::clone(&stop));
    let asks = thread::Builder::new().name("jcmd".into()).spawn(move || ask(pid, identity.as_ref(), &over));
    Namer { stop, asks: asks.ok() }
}

impl Namer {
    /// What the report must say about the names.
    pub fn finish(mut self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.asks.take()?.join().ok()?.note()
    }
}

impl Drop for Namer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Told {
    fn note(&self) -> Option<String> {
        if let Some(hindrance) = self.hindrance.filter(|_| self.answers == 0) {
            return Some(format!("Java's methods have no names from jcmd: {hindrance}"));
        }
        (self.answers > 0).then(|| {
            format!(
                "Java's compiled methods have their names from jcmd PID Compiler.perfmap, asked {} times; interpreted ones, and what \
                 ran before it was asked, have none (--no-env: it is not asked)",
                self.answers
            )
        })
    }
}

fn ask(pid: u32, identity: Option<&Identity>, stop: &AtomicBool) -> Told {
    let mut told = Told::default();
    let mut next = FIRST;
    loop {
        if !wait(next, stop) {
            return told;
        }
        if !listens(pid) {
            continue;
        }
        // Its files are another user's then, and are not run as this one.
        let wanted = identity.map_or_else(|| nix::unistd::geteuid().as_raw(), |identity| identity.uid);
        if user_of(pid).is_some_and(|user| user != wanted) {
            told.hindrance = Some("it runs as another user than the command was started as");
            return told;
        }
        let Some(jcmd) = jcmd_of(pid) else {
            // A script that is about to become Java looks like this for a moment.
            if is_java(pid) {
                told.hindrance = Some("there is no jcmd beside its java (a JRE without the JDK's tools)");
                return told;
            }
            continue;
        };
        match answered(&jcmd, pid, identity, stop) {
            Some(true) => told.answers += 1,
            Some(false) => {
                told.hindrance =
                    Some("jcmd failed: Compiler.perfmap is there from JDK 17 on, or the process was ending");
                return told;
            }
            None => {
                if !stop.load(Ordering::Relaxed) {
                    told.hindrance = Some("jcmd did not start or gave no answer in time");
                }
                return told;
            }
        }
        next = (next * 2).min(LONGEST);
    }
}

/// False: it is over.
fn wait(length: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + length;
    while Instant::now() < until {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        thread::sleep(LOOK);
    }
    !stop.load(Ordering::Relaxed)
}

fn user_of(pid: u32) -> Option<u32> {
    std::fs::metadata(format!("/proc/{pid}")).ok().map(|process| process.uid())
}

fn is_java(pid: u32) -> bool {
    program_of(pid).is_some_and(|program| program.ends_with("java"))
}

fn program_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The JDK's own, beside its java.
fn jcmd_of(pid: u32) -> Option<PathBuf> {
    let java = program_of(pid).filter(|program| program.ends_with("java"))?;
    let jcmd = java.parent().map(|directory: &Path| directory.join("jcmd"))?;
    jcmd.is_file().then_some(jcmd)
}

fn listens(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/status"))
        .is_ok_and(|status| catches_quit(&String::from_utf8_lossy(status.get(..STATUS_BYTES).unwrap_or(&status))))
}

fn catches_quit(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGQUIT != 0)
}

/// None: the run was over first, or it took too long.
fn answered(jcmd: &Path, pid: u32, identity: Option<&Identity>, stop: &AtomicBool) -> Option<bool> {
    let mut command = Command::new(jcmd);
    command.arg(pid.to_string()).arg("Compiler.perfmap").env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(identity) = identity {
        command.gid(identity.gid).uid(identity.uid);
    }
    target::capabilities::without_own(&mut command);
    let child = command.spawn().ok()?;
    ended(child, stop)
}

fn ended(mut child: Child, stop: &AtomicBool) -> Option<bool> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => thread::sleep(LOOK),
            Err(_) => return None,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_catches_the_signal_is_asked() {
        assert!(catches_quit("Name:\tjava\nSigCgt:\t0000000181005ccf\n"));
        assert!(!catches_quit("SigCgt:\t0000000000000002\n"));
        assert!(!catches_quit("SigCgt:\tno mask\n") && !catches_quit(""));
        assert!(jcmd_of(std::process::id()).is_none(), "this is no java");
    }

    #[test]
    fn what_takes_too_long_ends_with_the_run() {
        let sleep = || Command::new("sleep").arg("60").spawn().expect("sleep runs");
        assert_eq!(ended(sleep(), &AtomicBool::new(true)), None);
        let go = AtomicBool::new(false);
        assert_eq!(ended(Command::new("true").spawn().expect("true runs"), &go), Some(true));
        assert_eq!(ended(Command::new("false").spawn().expect("false runs"), &go), Some(false));
        let command = target::Command {
            argv: vec![],
            working_directory: "/".into(),
            identity: None,
            environment: vec![],
            stdout_to_stderr: false,
            output: None,
        };
        assert_eq!(begin(&command, std::process::id()).finish(), None);
    }

    #[test]
    fn what_is_said() {
        let told = Told { answers: 2, hindrance: None };
        assert!(told.note().is_some_and(|note| note.contains("asked 2 times") && note.contains("interpreted")));
        let told = Told { answers: 0, hindrance: Some("why") };
        assert!(told.note().is_some_and(|note| note.ends_with("why")));
        assert_eq!(Told::default().note(), None);
    }
}
