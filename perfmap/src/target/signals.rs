//! Signals that reach perfmap → what is sent to the target, and when perfmap gives up waiting.
//!
//! A handler only counts. [`Escalation`] decides, as a plain function of signals and times. The counters are the one
//! piece of global state: a signal handler has nothing else that it may touch.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::recording::Nanos;

/// All signals that are passed on.
const FORWARDED: [i32; 9] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGWINCH,
];

static ARRIVED: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];

extern "C" fn count(signal: libc::c_int) {
    if let Some(counter) = ARRIVED.get(signal as usize) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The installed handlers; one per process.
#[derive(Debug)]
pub struct Signals(());

/// Signals since the last question, in the order of their numbers, each once.
pub type Pending = Vec<i32>;

impl Signals {
    /// Signals that were ignored when perfmap started stay ignored (nohup).
    pub fn install() -> std::io::Result<Signals> {
        for signal in FORWARDED {
            // SAFETY: `old` is written before it is read; the handler only touches an atomic.
            unsafe {
                let mut old: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &mut old) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                if old.sa_sigaction == libc::SIG_IGN {
                    continue;
                }
                let mut new: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
                new.sa_flags = libc::SA_RESTART;
                libc::sigemptyset(&mut new.sa_mask);
                if libc::sigaction(signal, &new, std::ptr::null_mut()) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
        }
        Ok(Signals(()))
    }

    pub fn take(&self) -> Pending {
        FORWARDED
            .into_iter()
            .filter(|signal| {
                ARRIVED.get(*signal as usize).is_some_and(|counter| counter.swap(0, Ordering::Relaxed) > 0)
            })
            .collect()
    }

    /// For SIGTSTP, which was caught: stops perfmap itself until it is continued.
    pub fn stop_self(&self) {
        // SAFETY: numbers only.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}

impl Drop for Signals {
    /// From here on a signal ends perfmap as it ends any program.
    fn drop(&mut self) {
        for signal in FORWARDED {
            // SAFETY: `current` is written before it is read; only our own handler is taken back.
            unsafe {
                let mut current: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &mut current) == 0
                    && current.sa_sigaction == count as extern "C" fn(libc::c_int) as usize
                {
                    current.sa_sigaction = libc::SIG_DFL;
                    libc::sigaction(signal, &current, std::ptr::null_mut());
                }
            }
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send this to the target's group.
    Send(i32),
    /// Send SIGTSTP to the group, then stop perfmap itself.
    Suspend,
    /// Kill the group and write nothing more.
    StopAtOnce,
}

/// How long a target may take to react before the next, harder signal.
const GRACE: Nanos = Nanos(3_000_000_000);
/// One key press can arrive twice (from the terminal and from a parent that passes it on).
const SAME_PRESS: Nanos = Nanos(100_000_000);

/// Ctrl-C once: SIGINT, after a grace SIGTERM, after another SIGKILL. Twice: at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Escalation {
    /// When Ctrl-C was first pressed.
    interrupted: Option<Nanos>,
    /// The last of SIGINT, SIGTERM, SIGKILL that was sent because of it, and when.
    sent: Option<(i32, Nanos)>,
    /// SIGTERM, SIGHUP or SIGQUIT to perfmap: passed on, and no further run is started.
    stop: Option<i32>,
    at_once: bool,
}

impl Escalation {
    pub fn on_signal(&mut self, signal: i32, now: Nanos) -> Option<Step> {
        match signal {
            libc::SIGINT => self.on_interrupt(now),
            libc::SIGTSTP => Some(Step::Suspend),
            libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT => {
                self.stop = Some(signal);
                Some(Step::Send(signal))
            }
            other => Some(Step::Send(other)),
        }
    }

    fn on_interrupt(&mut self, now: Nanos) -> Option<Step> {
        match self.interrupted {
            None => {
                self.interrupted = Some(now);
                self.sent = Some((libc::SIGINT, now));
                Some(Step::Send(libc::SIGINT))
            }
            Some(first) if now.since(first) < SAME_PRESS => None,
            Some(_) => {
                self.at_once = true;
                Some(Step::StopAtOnce)
            }
        }
    }

    /// To be asked regularly while the target lives.
    pub fn on_tick(&mut self, now: Nanos) -> Option<Step> {
        let (signal, at) = self.sent?;
        if now.since(at) < GRACE {
            return None;
        }
        let harder = match signal {
            libc::SIGINT => libc::SIGTERM,
            libc::SIGTERM => libc::SIGKILL,
            _ => return None,
        };
        self.sent = Some((harder, now));
        Some(Step::Send(harder))
    }

    /// Ctrl-C was seen.
    pub fn interrupted(&self) -> bool {
        self.interrupted.is_some()
    }

    pub fn at_once(&self) -> bool {
        self.at_once
    }

    /// The signal by which perfmap itself was asked to end.
    pub fn stop_signal(&self) -> Option<i32> {
        self.stop
    }
}

/// `SIGKILL` for 9; `signal 40` where there is no name.
pub fn name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}
