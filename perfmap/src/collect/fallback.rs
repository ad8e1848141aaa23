//! Interpreters that our own walk does not know, read from outside at a steady rate by a thread of its own → readings
//! with their time, which the recorder puts in place of the Python part of the stacks (`recorder/readings.rs`).
//!
//! The thread is started with the first such process and joined at the end. A round of readings takes at most half of
//! the time between two rounds: with many processes the rate goes down, and the note says how far.

use std::{
    collections::BTreeMap,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{
    CollectError,
    clock::monotonic_ns,
    item::Item,
    pyspy::{Interpreters, Why},
};
use crate::unwind::python::Refusal;

/// A reading takes 0.3 to 0.6 ms of a CPU: at 99 Hz some 4 %, at 999 Hz 40 %.
const PERIOD: Duration = Duration::from_nanos(10_101_010);
/// Orders under way.
const ORDERS: usize = 1024;

enum Order {
    Read(u32),
    Forget(u32),
}

/// What came of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    pub done: u64,
    /// It changed while it was read.
    pub torn: u64,
    /// The recorder was not ready for it.
    pub dropped: u64,
    pub took: Duration,
    /// From the first reading to the last.
    pub over: Duration,
    /// Given up, and why.
    pub refused: Option<String>,
}

#[derive(Default)]
pub struct Fallback {
    running: Option<(Sender<Order>, JoinHandle<BTreeMap<u32, Readings>>)>,
}

impl Fallback {
    pub fn read(&mut self, pid: u32, items: &Sender<Item>) -> Result<(), CollectError> {
        if self.running.is_none() {
            let (sender, orders) = bounded(ORDERS);
            let items = items.clone();
            let thread = thread::Builder::new()
                .name("py-spy".into())
                .spawn(move || read_all(&orders, &items))
                .map_err(|error| CollectError::Recorder(error.to_string()))?;
            self.running = Some((sender, thread));
        }
        self.order(Order::Read(pid));
        Ok(())
    }

    pub fn forget(&self, pid: u32) {
        self.order(Order::Forget(pid));
    }

    fn order(&self, order: Order) {
        if let Some((sender, _)) = &self.running {
            let _ = sender.try_send(order); // more than are under way at once are not read: their note is missing
        }
    }

    pub fn finish(self) -> BTreeMap<u32, Readings> {
        let Some((sender, thread)) = self.running else { return BTreeMap::new() };
        drop(sender);
        thread.join().unwrap_or_default()
    }
}

fn read_all(orders: &Receiver<Order>, items: &Sender<Item>) -> BTreeMap<u32, Readings> {
    let mut interpreters = Interpreters::new();
    // Those that are read now, with their first reading.
    let mut reading: BTreeMap<u32, Option<Instant>> = BTreeMap::new();
    let mut all: BTreeMap<u32, Readings> = BTreeMap::new();
    let mut due = Instant::now();
    loop {
        match orders.recv_deadline(due) {
            Ok(Order::Read(pid)) => {
                reading.insert(pid, None);
                all.entry(pid).or_default();
                continue;
            }
            Ok(Order::Forget(pid)) => {
                reading.remove(&pid);
                interpreters.forget(pid);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return all,
        }
        let began = Instant::now();
        reading.retain(|pid, first| {
            let sums = all.entry(*pid).or_default();
            read_one(*pid, &mut interpreters, sums, first, items)
        });
        let now = Instant::now();
        due = (due + PERIOD).max(now + now.duration_since(began));
    }
}

/// False: it is not to be read any more.
fn read_one(
    pid: u32,
    interpreters: &mut Interpreters,
    sums: &mut Readings,
    first: &mut Option<Instant>,
    items: &Sender<Item>,
) -> bool {
    let (from, began) = (monotonic_ns(), Instant::now());
    let read = interpreters.sample(pid);
    let to = monotonic_ns();
    match read {
        Ok(threads) => {
            sums.done += 1;
            sums.took += began.elapsed();
            sums.over = began.duration_since(*first.get_or_insert(began));
            let at = from + to.saturating_sub(from) / 2;
            if items.try_send(Item::Reading { at, pid, threads }).is_err() {
                sums.dropped += 1;
            }
            true
        }
        Err(Why::NotYet) => true,
        Err(Why::Torn(_)) => {
            sums.torn += 1;
            true
        }
        Err(Why::Gone) => false,
        Err(Why::Refused(why)) => {
            sums.refused = Some(why);
            false
        }
    }
}

impl Readings {
    /// `why`: our own walk refused it; None: it was asked for.
    pub fn note(&self, name: &str, pid: u32, why: Option<&Refusal>) -> String {
        let because = why.map_or_else(|| "as was asked for".to_owned(), |why| format!("because {why}"));
        if let (0, Some(refused)) = (self.done, &self.refused) {
            return format!("Python functions of {name} ({pid}) are not told: {because}; py-spy: {refused}");
        }
        let rate = self.done.saturating_sub(1) as f64 / self.over.as_secs_f64().max(0.01);
        let failed = 100.0 * (self.torn + self.dropped) as f64 / (self.done + self.torn).max(1) as f64;
        let each = self.took.as_secs_f64() * 1e3 / self.done.max(1) as f64;
        format!(
            "Python functions of {name} ({pid}) are read from outside by py-spy, {because}: {} readings, {rate:.0} a second, \
             {each:.1} ms each, {failed:.1} % failed; a stack has the functions of the reading that is nearest in time",
            self.done
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_rate_and_failures() {
        let readings = Readings {
            done: 199,
            torn: 1,
            took: Duration::from_millis(100),
            over: Duration::from_secs(2),
            ..Readings::default()
        };
        assert_eq!(
            readings.note("python3", 7, None),
            "Python functions of python3 (7) are read from outside by py-spy, as was asked for: 199 readings, 99 a second, \
             0.5 ms each, 0.5 % failed; a stack has the functions of the reading that is nearest in time"
        );
        let refused = Readings { refused: Some("no version".into()), ..Readings::default() };
        assert_eq!(
            refused.note("python3", 7, Some(&Refusal::Musl)),
            "Python functions of python3 (7) are not told: because its C library is musl; py-spy: no version"
        );
    }

    #[test]
    fn nothing_runs_where_nothing_is_read() {
        let fallback = Fallback::default();
        fallback.forget(1);
        assert!(fallback.finish().is_empty());
    }

    #[test]
    fn what_is_gone_is_read_no_more() {
        let (items, _received) = bounded(4);
        let mut fallback = Fallback::default();
        fallback.read(u32::MAX, &items).unwrap();
        thread::sleep(Duration::from_millis(60));
        assert_eq!(fallback.finish().get(&u32::MAX), Some(&Readings::default()));
    }
}
