//! Switches and wakes that did not reach the kernel side: the records that it makes up from the scheduler's own times come
//! late, and name nobody.

use perfmap_common as wire;
use perfmap_common::Plain;

use super::tests::{Kernel, NO_STACK, ROOT, recorder};
use super::*;
use crate::{
    correlate::{self, Cause, Segment, State},
    recording::{Loss, OffState},
};

const MS: u64 = 1_000_000;
const FUTEX: i32 = 202;
const EPOLL_WAIT: i32 = 232;

fn sample(kernel: &mut Kernel, at: u64) {
    let header = wire::Header { at, ..kernel.header(wire::Kind::Sample) };
    kernel.entry(&[wire::Sample { header, stack: NO_STACK }.as_bytes()]);
}

/// Of a wait in a system call that began at `off` and ended at `on`.
fn block(kernel: &mut Kernel, (off, wake, on): (u64, u64, u64), call: i32, flags: u32) {
    let waker = if flags & wire::BLOCK_UNSEEN_WAKE == 0 { ROOT } else { 0 };
    kernel.blocks((off, wake, on), call, waker, flags);
}

fn returned(kernel: &mut Kernel, at: u64, call: i32) {
    kernel.returned(at, call, 1, None);
}

fn recorded(kernel: Kernel) -> Recording {
    let mut recorder = recorder(64 << 20);
    recorder.accept(Item::Events(kernel.batch));
    recorder.finish(&Losses::default()).0
}

fn segments(recording: &Recording) -> Vec<(u64, u64, bool)> {
    let correlated = correlate::correlate(recording);
    let on_cpu =
        |segment: &Segment| (segment.from.0 / MS, segment.to.0 / MS, matches!(segment.state, State::Cpu { .. }));
    correlated.timelines[0].0.iter().map(on_cpu).collect()
}

/// The switch to the task was lost: it is made up at the return of its call, behind samples that were taken since.
#[test]
fn a_wait_that_is_made_up_late_lies_where_it_was() {
    let mut kernel = Kernel::default();
    sample(&mut kernel, MS);
    sample(&mut kernel, 7 * MS);
    block(&mut kernel, (2 * MS, 5 * MS, 6 * MS), FUTEX, 0);
    returned(&mut kernel, 9 * MS, FUTEX);
    sample(&mut kernel, 12 * MS);
    let recording = recorded(kernel);
    assert!(recording.events.is_sorted_by_key(Event::at), "{:?}", recording.events);
    let Some(Event::OffCpu(wait)) = recording.events.iter().find(|event| matches!(event, Event::OffCpu(_))) else {
        panic!("{:?}", recording.events)
    };
    assert_eq!((wait.off, wait.woken, wait.on), (Nanos(2 * MS), Nanos(5 * MS), Nanos(6 * MS)));
    let call = recording.call(wait.call.expect("its call, though it returned later"));
    assert_eq!(call.returned, Nanos(9 * MS));
    let blocked: Vec<_> = segments(&recording).into_iter().filter(|(.., on_cpu)| !on_cpu).collect();
    assert_eq!(blocked, [(2, 5, false), (5, 6, false)], "blocked, then ready; on the CPU for the rest");
}

/// Neither who it was nor that it was a clock: it slept, and that is all.
#[test]
fn a_wake_that_was_not_seen_names_nobody() {
    for (call, flags) in [(FUTEX, wire::BLOCK_UNSEEN_WAKE), (EPOLL_WAIT, wire::BLOCK_UNSEEN_WAKE)] {
        let mut kernel = Kernel::default();
        sample(&mut kernel, MS);
        block(&mut kernel, (2 * MS, 0, 6 * MS), call, flags);
        returned(&mut kernel, 7 * MS, call);
        let recording = recorded(kernel);
        let wait = recording.events.iter().find_map(|event| match event {
            Event::OffCpu(wait) => Some(wait),
            _ => None,
        });
        let wait = wait.expect("the wait");
        assert!(wait.unseen_wake && wait.waker.is_none() && wait.state == OffState::Interruptible, "{wait:?}");
        assert_eq!(wait.woken, wait.on, "when it became ready is not known");
        let correlated = correlate::correlate(&recording);
        let [found] = correlated.waits.as_slice() else { panic!("{:?}", correlated.waits) };
        assert_eq!(found.by, None);
        assert_ne!(found.cause, Cause::Sleep, "no clock is known to have ended it");
    }
}

/// What the kernel side counts comes to the report under its own name, each slot once.
#[test]
fn every_slot_has_its_own_loss() {
    let mut losses: Vec<Loss> = crate::collect::object::SLOTS.iter().map(|(_, loss)| *loss).collect();
    for (index, (slot, loss)) in crate::collect::object::SLOTS.into_iter().enumerate() {
        assert_eq!(slot as usize, index);
        match slot {
            wire::LossSlot::WakeUnseen => assert_eq!(loss, Loss::WakeUnseen),
            wire::LossSlot::SwitchUnseen => assert_eq!(loss, Loss::SwitchUnseen),
            _ => assert!(!matches!(loss, Loss::WakeUnseen | Loss::SwitchUnseen), "{slot:?}"),
        }
    }
    losses.sort();
    losses.dedup();
    assert_eq!(losses.len(), wire::LOSS_SLOTS);
}
