//! The terminal's foreground group: lent to the target while it runs, as a shell does, and given back.
//!
//! The target has a process group of its own; reading the terminal from a background group would stop it (SIGTTIN).
//! While it is lent, Ctrl-C and Ctrl-Z reach the target directly and not perfmap.

use std::io::IsTerminal;

#[derive(Debug)]
pub(super) struct Foreground {
    ours: i32,
}

impl Foreground {
    /// None: standard input is no terminal, or perfmap itself is not in the foreground.
    pub(super) fn hand_to(pid: u32) -> Option<Foreground> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        // SAFETY: numbers only.
        let (ours, front) = unsafe { (libc::getpgrp(), libc::tcgetpgrp(libc::STDIN_FILENO)) };
        if front != ours {
            return None;
        }
        set_foreground(pid as i32).then_some(Foreground { ours })
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        set_foreground(self.ours);
    }
}

/// From a background group this would raise SIGTTOU, which stops the caller unless it is blocked.
fn set_foreground(group: i32) -> bool {
    // SAFETY: the sets are written before they are read; the rest are numbers.
    unsafe {
        let mut block: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut block);
        libc::sigaddset(&mut block, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &block, &mut before);
        let done = libc::tcsetpgrp(libc::STDIN_FILENO, group) == 0;
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        done
    }
}

/// Stops perfmap's own group, and comes back when the user continues the job. Does nothing in an orphaned group (a
/// container's first process, a session leader): nobody would continue it.
pub(super) fn stop_with_job() {
    // SAFETY: numbers only.
    unsafe {
        let session = libc::getsid(0);
        if session == libc::getpid() || libc::getsid(libc::getppid()) != session {
            return;
        }
        libc::kill(0, libc::SIGSTOP);
    }
}
