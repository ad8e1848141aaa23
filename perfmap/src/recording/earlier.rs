//! What is still known of the time before the recording's window: its events were given up for want of memory, and what
//! they added up to is kept. Counts are whole; which millisecond went where is known of the window alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Address, Nanos, ProcessId, SocketId, StackId, TaskId, Wire};

/// Kinds of requests that are told apart: who asks chooses their names, and may choose a new one each time.
const KINDS: usize = 1024;
/// All others.
pub const OTHER_REQUESTS: &str = "(other requests)";

/// Empty where all that was observed is in the window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// How long it was; the recording's origin is its end.
    pub length: Nanos,
    /// Events that were given up.
    pub events: u64,
    pub requests: BTreeMap<Requests, Tally>,
    /// Sockets that were closed.
    pub sockets: BTreeMap<Option<Endpoint>, Gone>,
}

/// Who asked whom for what; requests that are alike in all this are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requests {
    /// Made by somebody who is not traced.
    pub inbound: bool,
    /// Who asked; who answered, where inbound.
    pub process: ProcessId,
    /// Who answered, where that is traced too.
    pub server: Option<ProcessId>,
    /// Whom a client asked.
    pub endpoint: Option<Endpoint>,
    pub spoken: Spoken,
    /// It was read inside TLS.
    pub encrypted: bool,
    pub method: Option<String>,
    pub route: Option<String>,
    /// Where a client asked.
    pub stack: Option<StackId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Spoken {
    Http1,
    /// Not read: turns of its records.
    Tls,
    Calls(Wire),
}

/// Unix sockets have no address that is known, so the process at the other end tells them apart. A loopback address is
/// another endpoint in each network namespace (0 for all other addresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Endpoint {
    Internet { datagrams: bool, remote: Address, network: u32 },
    Unix(Option<ProcessId>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// One of those that asked (answered, where inbound).
    pub task: TaskId,
    pub answered: u64,
    pub unanswered: u64,
    /// Of those answered: with an error.
    pub refused: u64,
    pub latencies: Latencies,
    /// The weakest of the counts that went into it.
    pub counted: Sureness,
}

/// The later the weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sureness {
    Exact,
    Inferred,
    AtLeast,
}

/// Sockets that were closed and of which no event is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub connections: u64,
    pub failed_connects: u64,
    /// Over IPv4 and IPv6, and over other sockets.
    pub sent: [u64; 2],
    pub received: [u64; 2],
}

/// What the events before a time come to; the rest of them is to be kept.
#[derive(Debug, Default)]
pub struct Folded {
    pub requests: BTreeMap<Requests, Tally>,
    /// By `SocketId`: from here on its messages are needed, because they belong to requests that are still under way.
    pub keep_from: Vec<Nanos>,
    /// Requests under way that could not be kept.
    pub cut: u64,
    pub sockets: BTreeMap<Option<Endpoint>, Gone>,
    /// Sorted: those of the sockets that are gone which are in these sums, and can be forgotten.
    pub gone: Vec<SocketId>,
}

/// A recording of all messages before a time, that time, and sockets (sorted) that are gone for good → what they come to.
pub type Fold = fn(&super::Recording, Nanos, &[SocketId]) -> Folded;

impl Earlier {
    pub fn is_empty(&self) -> bool {
        self.length == Nanos::ZERO
    }

    pub fn add(&mut self, folded: &mut Folded) {
        for (requests, tally) in std::mem::take(&mut folded.requests) {
            let requests = if self.requests.len() < KINDS || self.requests.contains_key(&requests) {
                requests
            } else {
                let other = Some(OTHER_REQUESTS.to_owned());
                Requests { method: None, route: other, stack: None, ..requests }
            };
            match self.requests.entry(requests) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(tally);
                }
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().add(&tally),
            }
        }
        for (endpoint, gone) in std::mem::take(&mut folded.sockets) {
            let full = self.sockets.len() >= KINDS && !self.sockets.contains_key(&endpoint);
            self.sockets.entry(endpoint.filter(|_| !full)).or_default().add(&gone);
        }
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.requests.values().map(|tally| tally.answered).fold(0, u64::saturating_add)
    }
}

impl Tally {
    pub fn new(task: TaskId) -> Tally {
        let (latencies, counted) = (Latencies::default(), Sureness::Exact);
        Tally { task, answered: 0, unanswered: 0, refused: 0, latencies, counted }
    }

    pub fn add(&mut self, other: &Tally) {
        let Tally { task: _, answered, unanswered, refused, latencies, counted } = other;
        self.answered = self.answered.saturating_add(*answered);
        self.unanswered = self.unanswered.saturating_add(*unanswered);
        self.refused = self.refused.saturating_add(*refused);
        self.latencies.merge(latencies);
        self.counted = self.counted.max(*counted);
    }
}

impl Gone {
    pub fn add(&mut self, other: &Gone) {
        let Gone { connections, failed_connects, sent, received } = other;
        self.connections = self.connections.saturating_add(*connections);
        self.failed_connects = self.failed_connects.saturating_add(*failed_connects);
        for (sum, more) in self.sent.iter_mut().zip(sent).chain(self.received.iter_mut().zip(received)) {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// Lengths by sixteenths of an octave: any of them is known to 3 %, the least and the greatest exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    least: Nanos,
    greatest: Nanos,
    counts: BTreeMap<u16, u64>,
}

const PARTS: u32 = 4;

impl Latencies {
    pub fn record(&mut self, length: Nanos) {
        self.least = if self.counts.is_empty() { length } else { self.least.min(length) };
        self.greatest = self.greatest.max(length);
        *self.counts.entry(slot(length.0)).or_default() += 1;
    }

    fn merge(&mut self, other: &Latencies) {
        if other.counts.is_empty() {
            return;
        }
        self.least = if self.counts.is_empty() { other.least } else { self.least.min(other.least) };
        self.greatest = self.greatest.max(other.greatest);
        for (slot, count) in &other.counts {
            let sum = self.counts.entry(*slot).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// False of what no lengths can have given, which only a damaged file holds.
    pub fn are_possible(&self) -> bool {
        self.least <= self.greatest
    }

    /// Lengths and how often each: the first and the last are exact, those between stand for their slot.
    pub fn weighted(&self) -> impl Iterator<Item = (Nanos, u64)> {
        let inner = self.counts.iter().map(|(slot, count)| (middle(*slot).clamp(self.least, self.greatest), *count));
        let mut all: Vec<(Nanos, u64)> = inner.collect();
        // One of the first slot's is the least, one of the last slot's the greatest.
        for (index, exact) in [(0, self.least), (all.len().saturating_sub(1), self.greatest)] {
            if let Some((_, count)) = all.get_mut(index).filter(|(_, count)| *count > 0) {
                *count -= 1;
                all.push((exact, 1));
            }
        }
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}

fn slot(length: u64) -> u16 {
    let octave = u64::BITS - 1 - length.max(1).leading_zeros();
    match octave.checked_sub(PARTS) {
        // Short ones have a slot each.
        None => length as u16,
        Some(shift) => (((shift + 1) << PARTS) + ((length >> shift) as u32 & ((1 << PARTS) - 1))) as u16,
    }
}

fn middle(slot: u16) -> Nanos {
    let slot = u64::from(slot);
    match (slot >> PARTS).checked_sub(1) {
        None => Nanos(slot),
        Some(shift) => {
            let low = ((1 << PARTS) + (slot & ((1 << PARTS) - 1))).checked_shl(shift as u32).unwrap_or(u64::MAX);
            Nanos(low.saturating_add(1u64.checked_shl(shift as u32).unwrap_or(0) / 2))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Recording, file};
    use proptest::prelude::*;

    fn requests(route: &str) -> Requests {
        Requests {
            inbound: true,
            process: ProcessId(0),
            server: None,
            endpoint: None,
            spoken: Spoken::Http1,
            encrypted: false,
            method: Some("GET".into()),
            route: Some(route.into()),
            stack: None,
        }
    }

    #[test]
    fn kinds_are_bounded_and_none_is_lost() {
        let mut earlier = Earlier::default();
        for index in 0..3000 {
            let tally = Tally { answered: 2, ..Tally::new(TaskId(0)) };
            let requests = [(requests(&format!("/{index}")), tally)].into();
            earlier.add(&mut Folded { requests, ..Folded::default() });
        }
        assert_eq!(earlier.requests.len(), KINDS + 1);
        assert_eq!(earlier.answered(), 6000);
        let others = earlier.requests.iter().find(|(of, _)| of.route.as_deref() == Some(OTHER_REQUESTS));
        assert_eq!(others.map(|(_, tally)| tally.answered), Some(2 * (3000 - KINDS as u64)));
    }

    /// Found by fuzzing: the ends bound what stands for a slot.
    #[test]
    fn a_file_whose_least_is_above_its_greatest_is_refused() {
        let mut recording = Recording::default();
        let mut tally = Tally::new(TaskId(0));
        tally.latencies = Latencies { least: Nanos(2), greatest: Nanos(1), counts: BTreeMap::from([(1, 1)]) };
        recording.earlier.requests.insert(requests("/a"), tally);
        let file = file::encode(&recording).unwrap();
        assert!(file::decode(&file).unwrap_err().to_string().contains("latencies"));
    }

    proptest! {
        #[test]
        fn a_length_is_known_to_three_percent(length in 0u64..=u64::MAX) {
            let near = middle(slot(length)).0;
            prop_assert!(near.abs_diff(length) as f64 <= length as f64 * 0.032, "{near} for {length}");
        }

        #[test]
        fn longer_ones_have_later_slots(a in any::<u64>(), b in any::<u64>()) {
            prop_assert_eq!(slot(a.min(b)) <= slot(a.max(b)), true);
        }

        #[test]
        fn ends_are_exact_and_nothing_is_lost(lengths in prop::collection::vec(0u64..1_000_000_000, 1..60), cut in 0usize..60) {
            let (first, second) = lengths.split_at(cut.min(lengths.len()));
            let of = |list: &[u64]| {
                let mut found = Latencies::default();
                list.iter().for_each(|length| found.record(Nanos(*length)));
                found
            };
            let mut merged = of(first);
            merged.merge(&of(second));
            prop_assert_eq!(&merged, &of(&lengths), "parts add up to the whole");
            let weighted: Vec<_> = merged.weighted().collect();
            prop_assert_eq!(weighted.iter().map(|(_, count)| count).sum::<u64>(), lengths.len() as u64);
            prop_assert_eq!(weighted.iter().map(|(length, _)| length.0).min(), lengths.iter().min().copied());
            prop_assert_eq!(weighted.iter().map(|(length, _)| length.0).max(), lengths.iter().max().copied());
        }
    }
}
