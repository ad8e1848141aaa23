//! One live test at a time, as root or not at all. A test without root fails: a skip that nobody asked for would pass for proof.

use anyhow::{Result, ensure};
use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Holds the machine for one test. `None` only where `PERFMAP_SKIP_LIVE` gives a reason, which is printed.
pub fn turn() -> Result<Option<MutexGuard<'static, ()>>> {
    if let Some(reason) = std::env::var_os("PERFMAP_SKIP_LIVE") {
        eprintln!("skipped: PERFMAP_SKIP_LIVE={}", reason.to_string_lossy());
        return Ok(None);
    }
    ensure!(
        nix::unistd::geteuid().is_root(),
        "this test needs root: run `cargo xtask test`, or set PERFMAP_SKIP_LIVE to the reason for going without"
    );
    interruptible();
    // A test that failed before says nothing about this one.
    Ok(Some(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// What a shell starts in the background ignores SIGINT, and so does all that it starts: Ctrl-C would reach nobody.
fn interruptible() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed, the default is put back.
    if let Err(error) = unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) } {
        eprintln!("SIGINT stays as it was: {error}");
    }
}
