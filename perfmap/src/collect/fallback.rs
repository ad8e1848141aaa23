//! Interpreters that our own walk does not know, read from outside at a steady rate by a thread of its own → readings
//! with their time, which the recorder puts in place of the Python part of the stacks (`recorder/readings.rs`).
//!
//! The thread is started with the first such process and joined at the end; a process apart reads for it (`pyspy/asked`),
//! and one over which that is lost twice is given up. A round of readings takes at most half of
//! the time between two rounds: with many processes the rate goes down, and the note says how far.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{
    CollectError,
    item::Item,
    pyspy::{Readers, Sampled, Why},
};
use crate::{recording::Nanos, unwind::python::Refusal};

/// A reading takes 0.3 to 0.6 ms of a CPU: at 99 Hz some 4 %, at 999 Hz 40 %.
const PERIOD: Duration = Duration::from_nanos(10_101_010);
/// Orders under way.
const ORDERS: usize = 1024;
/// The kernel may have ended the reader for reasons of its own; twice over the same process is that process's doing.
const MOST_LOST: u64 = 2;

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
    /// The process that read it hung or died over it, and was started again.
    pub lost: u64,
    /// Why the last time.
    pub loss: Option<String>,
    /// The recorder was not ready for it.
    pub dropped: u64,
    pub took: Duration,
    /// From the first reading to the last.
    pub over: Duration,
    /// Given up, and why.
    pub refused: Option<String>,
}

/// Why it is read from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    Asked,
    /// There are no probes that could walk its frames.
    NoProbes,
    /// Our own walk does not know it.
    Unknown(Refusal),
}

/// What came of all.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// By pid.
    pub of: BTreeMap<u32, Readings>,
    /// What the processes that read used: children of ours, but none of the target's.
    pub cpu: Nanos,
}

struct Running {
    orders: Sender<Order>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcomes>,
}

#[derive(Default)]
pub struct Fallback {
    running: Option<Running>,
}

impl Fallback {
    pub fn read(&mut self, pid: u32, items: &Sender<Item>) -> Result<(), CollectError> {
        self.read_by(Readers::new, pid, items)
    }

    fn read_by(
        &mut self,
        readers: impl FnOnce() -> Readers + Send + 'static,
        pid: u32,
        items: &Sender<Item>,
    ) -> Result<(), CollectError> {
        if self.running.is_none() {
            let (orders, received) = bounded(ORDERS);
            let stop = Arc::new(AtomicBool::new(false));
            let (items, over) = (items.clone(), Arc::clone(&stop));
            let thread = thread::Builder::new()
                .name("py-spy".into())
                .spawn(move || read_all(readers(), &received, &over, &items))
                .map_err(|error| CollectError::Recorder(error.to_string()))?;
            self.running = Some(Running { orders, stop, thread });
        }
        self.order(Order::Read(pid));
        Ok(())
    }

    pub fn forget(&self, pid: u32) {
        self.order(Order::Forget(pid));
    }

    fn order(&self, order: Order) {
        if let Some(running) = &self.running {
            let _ = running.orders.try_send(order); // more than are under way at once are not read: their note is missing
        }
    }

    pub fn finish(self) -> Outcomes {
        let Some(Running { orders, stop, thread }) = self.running else { return Outcomes::default() };
        stop.store(true, Ordering::Relaxed);
        drop(orders);
        thread.join().unwrap_or_default()
    }
}

fn read_all(mut readers: Readers, orders: &Receiver<Order>, stop: &AtomicBool, items: &Sender<Item>) -> Outcomes {
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
                readers.forget(pid);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Outcomes { of: all, cpu: readers.finish() },
        }
        let began = Instant::now();
        reading.retain(|pid, first| {
            let sums = all.entry(*pid).or_default();
            read_one(*pid, &mut readers, stop, sums, first, items)
        });
        let now = Instant::now();
        due = (due + PERIOD).max(now + now.duration_since(began));
    }
}

/// False: it is not to be read any more.
fn read_one(
    pid: u32,
    readers: &mut Readers,
    stop: &AtomicBool,
    sums: &mut Readings,
    first: &mut Option<Instant>,
    items: &Sender<Item>,
) -> bool {
    let began = Instant::now();
    match readers.sample(pid, stop) {
        Ok(Sampled { at, threads }) => {
            sums.done += 1;
            sums.took += began.elapsed();
            sums.over = began.duration_since(*first.get_or_insert(began));
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
        Err(why @ Why::Lost(_)) => {
            sums.lost += 1;
            let given_up = sums.lost >= MOST_LOST;
            sums.refused = given_up.then(|| format!("{why}, {} times", sums.lost));
            sums.loss = Some(why.to_string());
            !given_up
        }
        Err(Why::Refused(why)) => {
            sums.refused = Some(why);
            false
        }
    }
}

impl Readings {
    pub fn note(&self, name: &str, pid: u32, because: &Because) -> String {
        let because = match because {
            Because::Asked => "as was asked for".to_owned(),
            Because::NoProbes => "because no probe walks its frames without eBPF".to_owned(),
            Because::Unknown(why) => format!("because {why}"),
        };
        if let (0, Some(refused)) = (self.done, self.refused.as_ref().or(self.loss.as_ref())) {
            return format!("Python functions of {name} ({pid}) are not told: {because}; py-spy: {refused}");
        }
        let rate = self.done.saturating_sub(1) as f64 / self.over.as_secs_f64().max(0.01);
        let failed = 100.0 * (self.torn + self.dropped) as f64 / (self.done + self.torn).max(1) as f64;
        let each = self.took.as_secs_f64() * 1e3 / self.done.max(1) as f64;
        let ended = match (&self.refused, &self.loss) {
            (Some(why), _) => format!("; it was given up after them: {why}"),
            (None, Some(why)) => format!("; once {why}"),
            (None, None) => String::new(),
        };
        format!(
            "Python functions of {name} ({pid}) are read from outside by py-spy, {because}: {} readings, {rate:.0} a second, \
             {each:.1} ms each, {failed:.1} % failed; a stack has the functions of the reading that is nearest in time{ended}",
            self.done
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::pyspy::Program;

    fn shell(script: &str) -> Program {
        Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    /// Until the file has so many bytes.
    fn written(file: &std::path::Path, bytes: u64) {
        let until = Instant::now() + Duration::from_secs(30);
        while std::fs::metadata(file).map_or(0, |metadata| metadata.len()) < bytes {
            assert!(Instant::now() < until, "nothing starts");
            thread::sleep(Duration::from_millis(5));
        }
    }

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
            readings.note("python3", 7, &Because::Asked),
            "Python functions of python3 (7) are read from outside by py-spy, as was asked for: 199 readings, 99 a second, \
             0.5 ms each, 0.5 % failed; a stack has the functions of the reading that is nearest in time"
        );
        let refused = Readings { refused: Some("no version".into()), ..Readings::default() };
        assert_eq!(
            refused.note("python3", 7, &Because::Unknown(Refusal::Musl)),
            "Python functions of python3 (7) are not told: because its C library is musl; py-spy: no version"
        );
        let lost = Readings { lost: 1, loss: Some("its reader was lost".into()), ..readings };
        let said = lost.note("python3", 7, &Because::NoProbes);
        assert!(said.contains("because no probe") && said.ends_with("; once its reader was lost"), "{said}");
        let given_up = Readings { refused: Some("its reader was lost, 2 times".into()), ..lost };
        let said = given_up.note("python3", 7, &Because::Asked);
        assert!(said.ends_with("; it was given up after them: its reader was lost, 2 times"), "{said}");
    }

    #[test]
    fn nothing_runs_where_nothing_is_read() {
        let fallback = Fallback::default();
        fallback.forget(1);
        assert!(fallback.finish().of.is_empty());
    }

    #[test]
    fn a_reader_that_dies_is_started_again_and_its_process_given_up() {
        let (items, _received) = bounded(4);
        let mut fallback = Fallback::default();
        let directory = tempfile::tempdir().unwrap();
        let starts = directory.path().join("starts");
        let program = shell(&format!("echo >> {}; exit 3", starts.display()));
        fallback.read_by(|| Readers::by(program), 7, &items).unwrap();
        fallback.read(8, &items).unwrap();
        written(&starts, 4);
        thread::sleep(Duration::from_millis(500));
        let outcomes = fallback.finish();
        for pid in [7, 8] {
            let readings = outcomes.of.get(&pid).unwrap();
            assert_eq!((readings.done, readings.lost), (0, 2));
            assert!(
                readings.refused.as_ref().is_some_and(|why| why.ends_with("ended with exit code 3, 2 times")),
                "{readings:?}"
            );
        }
    }

    /// The end of a run does not wait for what does not answer.
    #[test]
    fn a_reader_that_hangs_does_not_hold_the_end() {
        let (items, _received) = bounded(4);
        let mut fallback = Fallback::default();
        let directory = tempfile::tempdir().unwrap();
        let starts = directory.path().join("starts");
        let program = shell(&format!("echo >> {}; sleep 60", starts.display()));
        fallback.read_by(|| Readers::by(program), 7, &items).unwrap();
        written(&starts, 1);
        thread::sleep(Duration::from_secs(2));
        let began = Instant::now();
        let outcomes = fallback.finish();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let readings = outcomes.of.get(&7).unwrap();
        assert_eq!((readings.done, readings.lost), (0, 1), "{readings:?}");
        let said = readings.note("python3", 7, &Because::Asked);
        assert!(
            said.contains("not told: as was asked for; py-spy: the process that reads it was lost: it gave no answer")
        );
    }
}
