//! Stacks → whether one of Go's threads is back from a system call and waits in them for a processor of the runtime's (there are
//! `GOMAXPROCS` of these), because another thread took its own meanwhile.
//!
//! It is ready to run; who ends the wait is whoever has a processor to give, often the runtime's monitor thread, which
//! itself only sleeps: neither a lock nor that sleep is what is waited for.

use super::known::Known;
use crate::{
    recording::StackId,
    resolve::{PlaceId, Resolved},
};

/// By `StackId`.
pub fn stacks(resolved: &Resolved) -> Vec<bool> {
    let returns: Vec<bool> = resolved.places.iter().map(|place| place.function == "runtime.exitsyscall0").collect();
    let is_in = |id: &PlaceId| returns.get(id.0 as usize).copied().unwrap_or(false);
    resolved.stacks.iter().map(|stack| stack.iter().any(is_in)).collect()
}

impl Known<'_> {
    pub(super) fn is_for_go_processor(&self, stack: Option<StackId>) -> bool {
        stack.is_some_and(|stack| self.go_processor.get(stack.0 as usize).copied().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::syscalls as call,
        map::testing::{Ended, Story, show},
    };

    /// The runtime's monitor sleeps and now and then gives a processor to who has none.
    #[test]
    fn who_is_back_from_a_call_is_ready_and_does_not_sleep() {
        let of = |waits_in: &str| {
            let (mut story, main) = Story::new("go main", 1000);
            let (worker, monitor) = (story.thread(main, 0), story.thread(main, 0));
            story.cpu(main, 0, 100, "main.main");
            story.block(main, 100, 600, "main.main", Ended::call(call::FUTEX).by(worker, call::FUTEX));
            story.cpu(main, 600, 1000, "main.main");
            story.cpu(worker, 100, 200, "main.worker");
            story.block(worker, 200, 500, waits_in, Ended::call(call::FUTEX).by(monitor, call::FUTEX));
            story.cpu(worker, 500, 600, "main.worker");
            story.block(monitor, 0, 1000, "go:runtime.sysmon", Ended::call(call::CLOCK_NANOSLEEP));
            show(&story.map())
        };
        let back = of("go:runtime.mcall go:runtime.exitsyscall0 go:runtime.stopm");
        assert!(back.contains("runqueue 300") && !back.contains("sleep"), "{back}");
        let other = of("go:runtime.mcall go:runtime.park_m go:runtime.stopm");
        assert!(other.contains("sleep 300") && !other.contains("runqueue"), "{other}");
    }
}
