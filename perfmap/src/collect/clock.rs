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

fn cpu_of(who: UsageWho) -> Nanos {
    let Ok(usage) = getrusage(who) else { return Nanos::ZERO };
    let nanos = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000_000 + time.tv_usec() as u64 * 1_000;
    Nanos(nanos(usage.user_time()) + nanos(usage.system_time()))
}
