use super::*;
use crate::collect::decode::{Record, decode};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn who(tid: u32, at: u64) -> Who {
    Who { pid: 7, tid, at: at * MS }
}

/// (kind, from, to, state or syscall)
fn told(entries: Entries) -> Vec<(&'static str, u64, u64, i64)> {
    let bytes = entries.into_bytes();
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (entry, tail) = tail.split_at(u32::from_ne_bytes(*length) as usize);
        found.push(match decode(entry).unwrap() {
            Record::Block(block) => ("block", block.off / MS, block.header.at / MS, i64::from(block.state)),
            Record::Call(call, _) => ("call", 0, call.header.at / MS, call.result),
            Record::ShortWaits(sum, _) => ("short", sum.from / MS, sum.header.at / MS, sum.count as i64),
            Record::Exit(exit) => ("exit", exit.cpu_ns / MS, exit.header.at / MS, i64::from(exit.alive)),
            Record::Fork(fork) => ("fork", u64::from(fork.child_tid), fork.header.at / MS, 0),
            other => panic!("{other:?}"),
        });
        rest = tail;
    }
    found
}

#[test]
fn a_life() {
    let mut switches = Switches::new(7, 0, MS);
    let mut entries = Entries::default();
    switches.on(who(7, 2), &mut entries); // ready from the beginning
    switches.off(who(7, 12), false);
    switches.on(who(7, 40), &mut entries);
    switches.off(who(7, 50), true);
    switches.on(who(7, 55), &mut entries);
    assert!(switches.exited(who(7, 60), 1, 0, &mut entries));
    assert_eq!(told(entries), [("block", 0, 2, 0), ("block", 12, 40, 1), ("block", 50, 55, 0), ("exit", 25, 60, 0)]);
    assert_eq!(switches.finish(60 * MS, &mut Entries::default()), 0);
}

#[test]
fn a_parent_that_goes_on_when_its_child_has_ended_waited_for_it() {
    let mut switches = Switches::new(7, 0, MS);
    let mut entries = Entries::default();
    switches.on(who(7, 0), &mut entries);
    switches.forked(Who { pid: 9, tid: 9, at: MS }, (7, 7), &mut entries);
    switches.off(who(7, 2), false);
    switches.on(Who { pid: 9, tid: 9, at: 2 * MS }, &mut entries);
    assert!(switches.exited(Who { pid: 9, tid: 9, at: 30 * MS }, 7, 0, &mut entries));
    switches.on(who(7, 30), &mut entries);
    let told = told(entries);
    assert_eq!(told[told.len() - 2..], [("block", 2, 30, 1), ("call", 0, 30, 9)], "{told:?}");
}

#[test]
fn what_was_not_seen_is_counted() {
    let mut switches = Switches::new(7, 0, MS);
    let mut entries = Entries::default();
    switches.on(who(7, 1), &mut entries);
    switches.on(who(7, 5), &mut entries);
    switches.off(who(7, 6), false);
    switches.off(who(7, 7), false);
    assert_eq!(switches.finish(9 * MS, &mut entries), 2);
    assert_eq!(told(entries).last(), Some(&("block", 7, 9, 1)), "it waits when the recording ends");
}

proptest! {
    /// Whatever comes, what is told of a thread does not overlap, and sums are never longer than their stretch.
    #[test]
    fn no_overlap(steps in proptest::collection::vec((1u64..30, 0u8..3), 1..60)) {
        let mut switches = Switches::new(7, 0, 5 * MS);
        let mut entries = Entries::default();
        let mut now = 0;
        for (step, what) in steps {
            now += step;
            match what {
                0 => switches.on(who(7, now), &mut entries),
                1 => switches.off(who(7, now), false),
                _ => switches.off(who(7, now), true),
            }
        }
        switches.finish((now + 1) * MS, &mut entries);
        let mut last = 0;
        for (kind, from, to, _) in told(entries) {
            if kind == "block" {
                prop_assert!(from >= last && to >= from);
                last = to;
            }
        }
    }
}
