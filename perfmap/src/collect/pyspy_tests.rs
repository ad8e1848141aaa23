use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;
use crate::unwind::python::{Version, installed};

const SCRIPT: &str = "\
import threading, time

class Spins:
    def spin(self):
        while True:
            pass

def sleeps():
    time.sleep(60)

def outer():
    sleeps()

threading.Thread(target=Spins().spin, daemon=True).start()
print('ready', flush=True)
outer()
";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(version: Version) -> Option<Killed> {
    let python = installed(version)?;
    let child = Command::new(python).args(["-c", SCRIPT]).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Killed(child);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Some(child)
}

/// The threads when both are where they stay.
fn settled(interpreters: &mut Interpreters, pid: u32) -> Vec<ThreadFrames> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = interpreters.sample(pid);
        if let Ok(threads) = &seen
            && threads.iter().any(|thread| thread.frames.first().is_some_and(|frame| frame.function == "sleeps"))
            && threads.iter().any(|thread| thread.frames.first().is_some_and(|frame| frame.function.ends_with("spin")))
            && threads.iter().any(|thread| thread.is_idle)
            && threads.iter().any(|thread| !thread.is_idle)
        {
            return seen.unwrap();
        }
        assert!(Instant::now() < until, "{seen:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn reads(version: Version) {
    let Some(child) = start(version) else { return eprintln!("not run: CPython {version} is not installed here") };
    let pid = child.0.id();
    let mut interpreters = Interpreters::new();
    let threads = settled(&mut interpreters, pid);
    let main = threads.iter().find(|thread| thread.tid == pid).expect("its first thread");
    assert!(main.is_idle);
    let seen: Vec<_> =
        main.frames.iter().map(|frame| (frame.function.as_str(), frame.line, frame.first_line)).collect();
    assert_eq!(seen, [("sleeps", 9, 8), ("outer", 12, 11), ("<module>", 16, 1)]);
    assert!(main.frames.iter().all(|frame| frame.file == "<string>"));
    let other = threads.iter().find(|thread| thread.tid != pid).expect("its second thread");
    assert!(!other.is_idle && tasks(pid).contains(&other.tid));
    let spins = other.frames.first().unwrap();
    assert_eq!(spins.function, if version >= Version::V3_11 { "Spins.spin" } else { "spin" });
    assert!((5..=6).contains(&spins.line) && spins.first_line == 4, "{spins:?}");
    drop(child);
    assert!(matches!(interpreters.sample(pid), Err(Why::Gone)));
}

#[test]
fn threads_of_3_9() {
    reads(Version::of(3, 9));
}

#[test]
fn threads_of_3_12() {
    reads(Version::V3_12);
}

#[test]
fn threads_of_3_13() {
    reads(Version::V3_13);
}

#[test]
fn what_is_no_interpreter_is_refused_in_time() {
    let child = Killed(Command::new("sleep").arg("60").spawn().unwrap());
    let mut interpreters = Interpreters::new();
    let until = Instant::now() + Duration::from_secs(20);
    let why = loop {
        match interpreters.sample(child.0.id()) {
            Err(Why::NotYet) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            other => break other,
        }
    };
    assert!(matches!(why, Err(Why::Refused(_))), "{why:?}");
    assert_eq!(interpreters.sample(u32::MAX), Err(Why::Gone));
}

#[test]
fn ids_of_a_namespace_end_with_its_own() {
    assert_eq!(ids("Name:\tx\nNSpid:\t4711\t12\t1\n"), [4711, 12, 1]);
    assert!(ids("Name:\tx\n").is_empty());
}
