//! Requests from outside that a task answers → when it had something to do. What lies between them is none of its time.

use super::waits::{Bit, On};
use crate::{
    analyze::suspicions::Facts,
    recording::{Nanos, TaskId},
};

/// From a request that was read to its answer; several at a time are one span.
pub(super) fn spans(facts: &Facts<'_>, tasks: &[TaskId]) -> Vec<(Nanos, Nanos)> {
    let trips = facts.correlated.flows.round_trips.iter().filter(|trip| trip.inbound && tasks.contains(&trip.task));
    let mut all: Vec<(Nanos, Nanos)> = trips.map(|trip| (trip.sent, trip.received)).collect();
    all.sort_unstable();
    let mut found: Vec<(Nanos, Nanos)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match found.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            Some(_) | None => found.push((from, to)),
        }
    }
    found
}

/// `spans`: in order, apart from one another.
pub(super) fn within(bits: Vec<Bit>, spans: &[(Nanos, Nanos)]) -> Vec<Bit> {
    let mut found = Vec::with_capacity(bits.len());
    for bit in bits {
        let mut now = bit.from;
        let first = spans.partition_point(|(_, end)| *end <= bit.from);
        for (from, to) in spans.iter().skip(first).take_while(|(from, _)| *from < bit.to) {
            let (from, to) = ((*from).max(now), (*to).min(bit.to));
            if from > now {
                found.push(outside(&bit, now, from));
            }
            if to > from {
                found.push(Bit { from, to, ..bit.clone() });
                now = to;
            }
        }
        if bit.to > now {
            found.push(outside(&bit, now, bit.to));
        }
    }
    found
}

fn outside(bit: &Bit, from: Nanos, to: Nanos) -> Bit {
    Bit { from, to, step: None, on: On::Idle, ..bit.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::parallelism::types::Spent;

    #[test]
    fn what_is_outside_of_requests_is_idle_and_nothing_is_lost() {
        let bit = |from, to| Bit {
            from: Nanos(from),
            to: Nanos(to),
            step: Some(1),
            on: On::Own(Spent::Sleep),
            stack: None,
            wait: None,
        };
        let spans = [(Nanos(10), Nanos(20)), (Nanos(30), Nanos(40))];
        let found = within(vec![bit(0, 15), bit(15, 35), bit(35, 60)], &spans);
        let told: Vec<(u64, u64, bool)> = found.iter().map(|bit| (bit.from.0, bit.to.0, bit.step.is_some())).collect();
        let wanted = [
            (0, 10, false),
            (10, 15, true),
            (15, 20, true),
            (20, 30, false),
            (30, 35, true),
            (35, 40, true),
            (40, 60, false),
        ];
        assert_eq!(told, wanted);
        assert!(found.iter().all(|bit| (bit.on == On::Idle) == bit.step.is_none()));
    }
}
