//! One look at a thread of our own tree: what it waits in and where, as /proc tells anybody who may trace it. It is
//! not stopped for it: what is read may be a little older than what is read next, and says so by not fitting.

use std::io::IoSliceMut;

use nix::{
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

use super::wait_channel;
use crate::collect::process;

/// Longest line of `stat` or `syscall`.
const LINE_BYTES: u64 = 1024;
const PAGE: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub at: u64,
    pub pid: u32,
    pub tid: u32,
    pub state: State,
    /// None: in none, or in none that may be known.
    pub call: Option<Entered>,
    /// Stack pointer and instruction pointer in the program; None for one that runs.
    pub place: Option<(u64, u64)>,
}

/// What `stat` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On a CPU or ready for one.
    Running,
    /// S, and what a signal cannot end but nobody counts as load (I).
    Sleeping,
    /// D.
    Disk,
    /// T, t.
    Stopped,
    /// Z, X.
    Gone,
}

impl State {
    /// As include/linux/sched.h numbers it.
    pub fn number(self) -> u32 {
        match self {
            State::Running | State::Gone => 0,
            State::Sleeping => 1,
            State::Disk => 2,
            State::Stopped => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    pub number: u32,
    pub arguments: [u64; 3],
}

/// None: it is gone.
pub fn look(pid: u32, tid: u32, now: u64) -> Option<Look> {
    let state = state(&process::bytes(pid, &format!("task/{tid}/stat"), LINE_BYTES))?;
    if matches!(state, State::Running | State::Gone) {
        return Some(Look { at: now, pid, tid, state, call: None, place: None });
    }
    let line = process::bytes(pid, &format!("task/{tid}/syscall"), LINE_BYTES);
    let (call, place) = match system_call(&line) {
        InCall::Running => return Some(Look { at: now, pid, tid, state: State::Running, call: None, place: None }),
        InCall::Place { call, place } => (call, Some(place)),
        // Where that file is missing or refused, the function of the kernel that it sleeps in may be told.
        InCall::Unknown => (wait_channel::entered(&process::bytes(pid, &format!("task/{tid}/wchan"), 64)), None),
    };
    Some(Look { at: now, pid, tid, state, call, place })
}

#[derive(Debug, PartialEq, Eq)]
enum InCall {
    Running,
    Place { call: Option<Entered>, place: (u64, u64) },
    Unknown,
}

/// The state in a line of `stat`; the name before it may hold anything.
fn state(line: &[u8]) -> Option<State> {
    let close = line.iter().rposition(|byte| *byte == b')')?;
    Some(match line.get(close + 2)? {
        b'R' => State::Running,
        b'D' => State::Disk,
        b'T' | b't' => State::Stopped,
        b'Z' | b'X' | b'x' => State::Gone,
        _ => State::Sleeping,
    })
}

fn system_call(line: &[u8]) -> InCall {
    let text = String::from_utf8_lossy(line);
    if text.starts_with("running") {
        return InCall::Running;
    }
    let words: Vec<&str> = text.split_ascii_whitespace().take(9).collect();
    let hexadecimal = |word: &&str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let values: Option<Vec<u64>> = words.iter().skip(1).map(hexadecimal).collect();
    match (words.first().and_then(|number| number.parse::<i64>().ok()), values.as_deref()) {
        (Some(_), Some([sp, pc])) => InCall::Place { call: None, place: (*sp, *pc) },
        (Some(number), Some([first, second, third, _, _, _, sp, pc])) => InCall::Place {
            call: u32::try_from(number).ok().map(|number| Entered { number, arguments: [*first, *second, *third] }),
            place: (*sp, *pc),
        },
        _ => InCall::Unknown,
    }
}

/// What lies above `address`, up to the first page that cannot be read.
pub fn memory(pid: u32, address: u64, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let Some(end) = address.checked_add(most as u64) else { return Vec::new() };
    let Ok(number) = i32::try_from(pid) else { return Vec::new() };
    let mut pieces = Vec::with_capacity(most / PAGE as usize + 2);
    let mut from = address;
    // A piece is read whole or not at all.
    while from < end {
        let to = (from / PAGE + 1).saturating_mul(PAGE).min(end);
        pieces.push(RemoteIoVec { base: from as usize, len: (to - from) as usize });
        from = to;
    }
    let read = process_vm_readv(Pid::from_raw(number), &mut [IoSliceMut::new(&mut bytes)], &pieces).unwrap_or(0);
    bytes.truncate(read);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_the_kernel() {
        let line = b"202 0x7f00 0x80 0x2 0x0 0x0 0x0 0x7ffd 0x55aa\n";
        let call = Some(Entered { number: 202, arguments: [0x7f00, 0x80, 2] });
        assert_eq!(system_call(line), InCall::Place { call, place: (0x7ffd, 0x55aa) });
        assert_eq!(system_call(b"-1 0x7ffd 0x55aa\n"), InCall::Place { call: None, place: (0x7ffd, 0x55aa) });
        assert_eq!(system_call(b"running\n"), InCall::Running);
        assert_eq!(system_call(b""), InCall::Unknown);
        assert_eq!(state(b"7 (a) S (b) D 1 2"), Some(State::Disk));
        assert_eq!(state(b"7 (a)"), None);
    }

    #[test]
    fn a_sleeping_thread_is_seen_where_it_sleeps() {
        let mut child = std::process::Command::new("/bin/sleep").arg("20").spawn().expect("sleep runs");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let found = loop {
            let found = look(child.id(), child.id(), 5).filter(|look| look.call.is_some_and(|call| call.number == 230));
            if found.is_some() || std::time::Instant::now() > deadline {
                break found;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        let found = found.expect("in clock_nanosleep");
        assert_eq!(found.state, State::Sleeping);
        let (stack_pointer, _) = found.place.expect("a place");
        let stack = memory(child.id(), stack_pointer, 1 << 20);
        assert!(stack.len() > 100 && stack.len() < 1 << 20, "{} bytes up to the end of the stack", stack.len());
        let _ = child.kill();
        let _ = child.wait();
    }

    proptest! {
        #[test]
        fn any_bytes(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (system_call(&line), state(&line));
        }
    }
}
