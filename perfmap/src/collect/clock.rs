//! The clocks that a recording is measured with.

use nix::sys::resource::{UsageWho, getrusage};

use crate::recording::Nanos;

/// CLOCK_MONOTONIC, the clock of the kernel's records.
pub fn monotonic_ns() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        .unwrap_or(0)
}

/// User and system time of our children that have been waited for, with all that they waited for.
pub fn children_cpu() -> Nanos {
    cpu_of(UsageWho::RUSAGE_CHILDREN)
}

pub fn own_cpu() -> Nanos {
    cpu_of(UsageWho::RUSAGE_SELF)
}

/// CPU time of the thread that asks: what a piece of work cost, whoever else had the CPU meanwhile.
pub fn thread_cpu_ns() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        .unwrap_or(0)
}

/// CPU time of a process, all its threads so far, as exact as the scheduler knows it; None for one that is gone.
pub fn process_cpu(pid: u32) -> Option<Nanos> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    let time = nix::time::clock_gettime(clock).ok()?;
    Some(Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
}

fn cpu_of(who: UsageWho) -> Nanos {
    let Ok(usage) = getrusage(who) else { return Nanos::ZERO };
    let nanos = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000_000 + time.tv_usec() as u64 * 1_000;
    Nanos(nanos(usage.user_time()) + nanos(usage.system_time()))
}
