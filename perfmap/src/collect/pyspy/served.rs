//! perfmap started once more as a reader of interpreters: questions on a socket → readings on it. What the crate reads is
//! a target's memory and files, so the process that reads them has nothing but what reading needs: two capabilities at
//! most, no user of its own where it was started by root, no new files and no children, and a bounded address space.
//!
//! Whoever asks ends it where it does not answer (`asked`); it ends by itself when nobody can ask any more.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Interpreters, ThreadFrames, Why};
use crate::{
    collect::clock::monotonic_ns,
    target::{
        Capabilities, Capability,
        capabilities::{self, Sets},
    },
};

/// Symbols of a large interpreter take some 100 MB while they are read, a process that is known 5 MB.
const ADDRESS_SPACE: u64 = 2 << 30;
/// Of one message: frames of 1024 threads, each some 100 deep.
const MESSAGE_BYTES: usize = 16 << 20;
/// Who owns nothing, where the numbers of users are the machine's own.
const NOBODY: u32 = 65_534;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    Read(u32),
    Forget(u32),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// By CLOCK_MONOTONIC: the middle of the reading.
    pub at: u64,
    pub read: Result<Vec<ThreadFrames>, Why>,
}

/// All that the process does; gives its exit code.
pub fn serve() -> u8 {
    let mut interpreters = Interpreters::new();
    match answer_with(|question| read(&mut interpreters, question)) {
        Ok(()) => 0,
        Err(_) => 2, // it has nobody to tell it to
    }
}

fn read(interpreters: &mut Interpreters, question: Question) -> Option<Answer> {
    match question {
        Question::Read(pid) => {
            let from = monotonic_ns();
            let read = interpreters.sample(pid);
            Some(Answer { at: from + monotonic_ns().saturating_sub(from) / 2, read })
        }
        Question::Forget(pid) => {
            interpreters.forget(pid);
            None
        }
    }
}

/// On the socket that is its standard input, until the other end is closed.
pub(super) fn answer_with(mut answer: impl FnMut(Question) -> Option<Answer>) -> io::Result<()> {
    let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.peer_addr()?; // not a terminal, where somebody typed the subcommand
    confine()?;
    loop {
        let question = match receive(&mut stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            question => question?,
        };
        if let Some(answer) = answer(question) {
            match encoded(&answer) {
                Some(bytes) => stream.write_all(&bytes)?,
                None => {
                    let read = Err(Why::Torn("they are more than are read at once".to_owned()));
                    send(&mut stream, &Answer { at: answer.at, read })?;
                }
            }
        }
    }
}

fn confine() -> io::Result<()> {
    let reading = Capabilities::of(&[Capability::SysPtrace, Capability::DacReadSearch]);
    let held = Sets::now();
    if geteuid().is_root() && held.permitted.has(Capability::SysPtrace) {
        leave_root();
    }
    // What a target can have must stay where there is no CAP_SYS_PTRACE, or the kernel does not let us read it.
    capabilities::keep(held.to_read_children(reading));
    capabilities::raise();
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    for (what, most) in [
        (Resource::RLIMIT_AS, ADDRESS_SPACE),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NPROC, 0),
    ] {
        setrlimit(what, most, most)?;
    }
    Ok(())
}

/// Root owns the machine's files, with or without capabilities. Where there is no such user (a user namespace with few of
/// them), it stays what it is.
fn leave_root() {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let left = prctl::set_keepcaps(true)
        .and_then(|()| setgroups(&[]))
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user));
    let _ = (left, prctl::set_keepcaps(false));
}

/// With its length before it; None: it is too long.
fn encoded(message: &impl Serialize) -> Option<Vec<u8>> {
    let content = postcard::to_stdvec(message).ok().filter(|content| content.len() <= MESSAGE_BYTES)?;
    Some([&(content.len() as u32).to_le_bytes()[..], &content].concat())
}

pub(super) fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encoded(message).ok_or(io::ErrorKind::InvalidData)?)
}

/// Total on any bytes; a length beyond the limit is refused before anything is reserved for it.
pub(super) fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = Vec::new();
    stream.take(length as u64).read_to_end(&mut content)?;
    if content.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&content).map_err(|_| io::ErrorKind::InvalidData.into())
}
