//! A process that was let go: its ending, and signals to its group.
//!
//! Reaping and signalling share one lock. As long as the process is not reaped its number (and that of its group)
//! cannot be reused, so a signal sent under the lock never hits a stranger.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use super::terminal::{self, Foreground};
use crate::recording::Ending;

#[derive(Debug)]
struct Shared {
    pid: i32,
    pidfd: OwnedFd,
    /// Set once reaped.
    ending: Mutex<Option<Ending>>,
}

/// Can be cloned and kept beyond the process's life.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Shared>);

enum Change {
    None,
    Stopped,
    Ended(Ending),
}

impl Remote {
    /// `pid` must be a child of ours that is not reaped yet.
    pub(super) fn open(pid: i32) -> std::io::Result<Remote> {
        // SAFETY: numbers only.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor (close-on-exec by the kernel's choice) that nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        Ok(Remote(Arc::new(Shared { pid, pidfd, ending: Mutex::new(None) })))
    }

    pub fn pid(&self) -> u32 {
        self.0.pid as u32
    }

    /// To the whole process group. False: it has ended, nothing was sent.
    pub fn signal(&self, signal: i32) -> bool {
        let ending = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: numbers only; not reaped, so the group is still this one.
        ending.is_none() && unsafe { libc::killpg(self.0.pid, signal) } == 0
    }

    pub fn ended(&self) -> Option<Ending> {
        *self.0.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, flags: i32) -> std::io::Result<Change> {
        let mut ending = self.0.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = *ending {
            return Ok(Change::Ended(ending));
        }
        let pidfd = self.0.pidfd.as_raw_fd() as libc::id_t;
        // SAFETY: an all-zero siginfo is valid, and `si_pid` stays 0 where there is nothing to tell.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: `info` is ours to write.
            if unsafe { libc::waitid(libc::P_PIDFD, pidfd, &mut info, libc::WEXITED | flags) } == 0 {
                break;
            }
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // SAFETY: waitid filled the fields of SIGCHLD, or left zeros.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(Change::None);
        }
        let change = match info.si_code {
            libc::CLD_EXITED => Ending::Exited(status),
            libc::CLD_KILLED | libc::CLD_DUMPED => Ending::Killed(status),
            _ => return Ok(Change::Stopped),
        };
        *ending = Some(change);
        Ok(Change::Ended(change))
    }

    /// Waits for the end, without a limit: for a child that is known to be leaving.
    pub(super) fn reap(&self) {
        let _ = self.change(0);
    }
}

#[derive(Debug)]
pub struct Running {
    remote: Remote,
    foreground: Option<Foreground>,
}

impl Running {
    pub(super) fn new(remote: Remote, foreground: Option<Foreground>) -> Running {
        Running { remote, foreground }
    }

    pub fn pid(&self) -> u32 {
        self.remote.pid()
    }

    /// Becomes readable when the process ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.remote.0.pidfd.as_fd()
    }

    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// To the whole process group. False: it has ended, nothing was sent.
    pub fn signal(&self, signal: i32) -> bool {
        self.remote.signal(signal)
    }

    /// How it ended, or None while it lives. Call it every few milliseconds: it also does what a shell does when the
    /// user stops the target with Ctrl-Z (perfmap stops with it, and both go on together).
    pub fn try_wait(&mut self) -> std::io::Result<Option<Ending>> {
        let stops = if self.foreground.is_some() { libc::WSTOPPED } else { 0 };
        match self.remote.change(libc::WNOHANG | stops)? {
            Change::None => Ok(None),
            Change::Stopped => {
                self.foreground = None;
                terminal::stop_with_job();
                self.foreground = Foreground::hand_to(self.remote.pid());
                self.remote.signal(libc::SIGCONT);
                Ok(None)
            }
            Change::Ended(ending) => {
                self.foreground = None;
                Ok(Some(ending))
            }
        }
    }

    /// The same without asking twice.
    pub fn wait(&mut self) -> std::io::Result<Ending> {
        loop {
            if let Change::Ended(ending) = self.remote.change(0)? {
                self.foreground = None;
                return Ok(ending);
            }
        }
    }
}
