//! Told runs: workers that share a lock, a pool, a limiter, a peer, or nothing; and those that are no workers.

use super::*;
use crate::{
    analyze::{
        fixture::{map, recording, resolved},
        suspicions::Facts,
    },
    correlate::{Correlated, syscalls as call},
    map::{
        MapOptions,
        testing::{Ended, Story, ms},
    },
    recording::{OnObject, TaskId, TurnKind, Work},
};

const LOCK: [u64; 3] = [0x4000, 0, 2];

/// Fetches take 20 ms, writes `write` ms at `places` places, each worker does `items`, one after the other.
struct Pipeline {
    story: Story,
    threads: Vec<TaskId>,
    /// When the place is free again, and who has it.
    places: Vec<(u64, Option<TaskId>)>,
    acquire: &'static str,
}

impl Pipeline {
    fn new(workers: usize, places: usize, acquire: &'static str) -> Pipeline {
        let (mut story, main) = Story::new("app", 100_000);
        story.recording.meta.cpus = 8;
        let threads = (0..workers).map(|_| story.thread(main, 0)).collect();
        Pipeline { story, threads, places: vec![(0, None); places], acquire }
    }

    fn sleep(&mut self, task: TaskId, from: u64, to: u64, stack: &str) {
        self.story.block(task, from, to, stack, Ended::call(call::NANOSLEEP).result(0));
    }

    /// By turns, as a fair lock lets them in; the end.
    fn run(&mut self, items: usize, write: u64) -> u64 {
        let mut ready: Vec<u64> = vec![0; self.threads.len()];
        for _ in 0..items {
            for (worker, task) in self.threads.clone().into_iter().enumerate() {
                let fetched = ready[worker] + 20;
                self.sleep(task, ready[worker], fetched, "work item fetch");
                let place = self.places.iter_mut().min_by_key(|(free, _)| *free).expect("a place");
                let (free, by) = *place;
                let begins = free.max(fetched);
                *place = (begins + write, Some(task));
                if begins > fetched {
                    let stack = format!("work item write {}", self.acquire);
                    let ended = Ended::call(call::FUTEX).by(by.expect("who had it"), call::FUTEX);
                    self.story.block_with(task, [fetched, begins], &stack, ended, LOCK);
                }
                self.sleep(task, begins, begins + write, "work item write");
                ready[worker] = begins + write;
            }
        }
        for (task, at) in self.threads.clone().into_iter().zip(&ready) {
            self.story.dies(task, *at);
        }
        let end = ready.iter().copied().max().expect("workers");
        self.story.block(TaskId(0), 0, end, "main join", Ended::call(call::FUTEX).by(self.threads[0], call::FUTEX));
        ready.into_iter().max().expect("workers")
    }
}

fn told(story: &mut Story) -> Option<Parallelism> {
    let correlated = story.correlated();
    let map = crate::map::build(&story.recording, &story.resolved, &correlated, &MapOptions::default());
    let (recording, resolved) = (&story.recording, &story.resolved);
    parallelism(&Facts { recording, resolved, correlated: &correlated, map: &map })
}

fn near(value: f64, wanted: f64, share: f64) -> bool {
    (value - wanted).abs() <= wanted * share
}

#[test]
fn one_task_is_no_crowd() {
    let (recording, resolved, correlated, map) = (recording(), resolved(), Correlated::default(), map());
    let facts = Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map: &map };
    assert_eq!(parallelism(&facts), None);
}

/// fetch 20 ms, write 24 ms under one lock, 12 workers: the lock lets 41.7 a second through, of 272 that they could do.
#[test]
fn one_lock_is_the_cause_and_its_wait_is_no_work() {
    let mut pipeline = Pipeline::new(12, 1, "pthread_mutex_lock");
    let end = pipeline.run(20, 24);
    let found = told(&mut pipeline.story).expect("workers");
    assert_eq!((found.workers, found.items[0].count, found.items[0].source), (12, 240, ItemSource::Repetition));
    assert!(near(found.actual_rate, 240.0 / end as f64 * 1e3, 0.01), "{found:?}");
    assert!(near(found.item_work.as_ms(), 44.0, 0.02), "{:?}", found.item_work);
    assert!(near(found.factor, 12.0 / 0.044 / found.actual_rate, 0.03), "{}", found.factor);
    assert_eq!((found.category, found.severity), (Category::LockContention, Severity::Warning));
    assert!(found.by_factor.is_some(), "by the factor one would have looked for a pool");
    let lock = found.critical().expect("the lock");
    assert_eq!((lock.address, lock.places), (Some(0x4000), Some(1)));
    assert!(near(lock.turn.expect("a turn").as_ms(), 24.0, 0.05), "{lock:?}");
    assert_eq!(lock.waiting.as_ref().map(|side| side.function.as_str()), Some("write"));
    assert_eq!(lock.holding.as_ref().map(|side| side.function.as_str()), Some("write"));
    let steps: Vec<&str> = found.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["fetch", "write"]);
    assert!(near(found.steps[0].mean.as_ms(), 20.0, 0.01) && near(found.steps[1].uncontended.as_ms(), 24.0, 0.05));
    let expected = found.expected.expect("a prediction");
    assert!(near(expected.rate, 12.0 / 0.044, 0.03) && expected.limit == Limit::Workers, "{expected:?}");
    let (size, rate, _) = expected.batched.expect("batches");
    assert!(size == 10 && near(rate, 416.7, 0.05), "{rate}");
    assert_eq!(found.disagreements, []);
}

#[test]
fn several_places_that_are_handed_on_are_a_pool() {
    let mut pipeline = Pipeline::new(16, 4, "lib.get");
    pipeline.run(15, 25);
    let found = told(&mut pipeline.story).expect("workers");
    assert_eq!(found.category, Category::PoolExhaustion, "{:?}", found.resources);
    assert_eq!(found.critical().and_then(|pool| pool.places), Some(4));
    let change = found.change.expect("a change");
    assert!(change.hint.contains("32 places"), "{}", change.hint);
}

#[test]
fn workers_that_share_nothing_are_good_and_have_no_cause() {
    let mut pipeline = Pipeline::new(8, 8, "lib.get");
    pipeline.run(20, 10);
    let found = told(&mut pipeline.story).expect("workers");
    assert!(near(found.factor, 1.0, 0.02), "{}", found.factor);
    assert_eq!((found.category, found.severity, found.expected), (Category::None, Severity::Good, None));
    assert_eq!((found.change, found.by_factor), (None, None));
}

/// Two workers of a server with three threads each are six, not three.
#[test]
fn threads_of_equal_processes_are_one_crowd() {
    let (mut story, main) = Story::new("serve", 100_000);
    story.recording.meta.cpus = 8;
    let mut threads = Vec::new();
    for _ in 0..2 {
        let process = story.process(Some(main), 0, "serve");
        threads.extend((0..3).map(|_| story.thread(process, 0)));
    }
    let mut pipeline = Pipeline { story, threads, places: vec![(0, None); 6], acquire: "acquire" };
    pipeline.run(10, 30);
    let found = told(&mut pipeline.story).expect("workers");
    assert_eq!((found.kind, found.workers, found.items[0].count), (WorkerKind::Threads, 6, 60));
    assert_eq!(found.category, Category::None);
}

/// The same program twice, one run after the other: three workers, not six that idle half of the time.
#[test]
fn processes_one_after_the_other_are_no_crowd() {
    let (mut story, main) = Story::new("sh", 100_000);
    story.recording.meta.cpus = 8;
    for run in 0..2 {
        let begun = run * 2_000;
        let process = story.process(Some(main), begun, "app");
        for _ in 0..3 {
            let task = story.thread(process, begun);
            for item in 0..20 {
                let at = begun + item * 50;
                story.block(task, at, at + 30, "part fetch", Ended::call(call::NANOSLEEP).result(0));
                story.block(task, at + 30, at + 50, "part keep", Ended::call(call::NANOSLEEP).result(0));
            }
            story.dies(task, begun + 1_000);
        }
        story.dies(process, begun + 1_000);
    }
    let found = told(&mut story).expect("workers");
    assert_eq!((found.kind, found.workers), (WorkerKind::Threads, 3));
    assert_ne!(found.category, Category::Imbalance, "{}", found.root_cause);
}

#[test]
fn one_that_has_more_to_do_is_an_imbalance() {
    let (mut story, main) = Story::new("app", 10_000);
    for worker in 0..4 {
        let task = story.thread(main, 0);
        let length = if worker == 2 { 100 } else { 20 };
        for item in 0..20 {
            let at = item * length;
            story.block(task, at, at + length * 3 / 4, "part fetch", Ended::call(call::NANOSLEEP).result(0));
            story.block(task, at + length * 3 / 4, at + length, "part keep", Ended::call(call::NANOSLEEP).result(0));
        }
        story.dies(task, 20 * length);
    }
    let found = told(&mut story).expect("workers");
    assert_eq!(found.category, Category::Imbalance, "{}", found.root_cause);
    assert!(near(found.idle_pct, 60.0, 0.03), "{}", found.idle_pct);
    // 20 items of 20 ms and 20 of 100: 4 workers could do all in 800 ms.
    assert!(near(found.expected.as_ref().expect("a prediction").rate, 100.0, 0.03), "{:?}", found.expected);
    assert!(near(found.efficiencies.load_balance, 0.4, 0.03), "{:?}", found.efficiencies);
}

#[test]
fn what_is_told_comes_before_what_is_counted_and_a_contradiction_is_said() {
    let mut pipeline = Pipeline::new(8, 8, "lib.get");
    pipeline.run(20, 10);
    pipeline.story.recording.work = Work { items: Some(80), workers: Some(4), ..Work::default() };
    let found = told(&mut pipeline.story).expect("workers");
    assert_eq!((found.items[0].count, found.items[0].source, found.items[1].count), (80, ItemSource::Told, 160));
    assert_eq!((found.workers, found.workers_told), (4, true));
    assert!(found.disagreements.iter().any(|one| one.what.starts_with("items")), "{:?}", found.disagreements);
}

/// Equal threads that did one thing and wait for more.
#[test]
fn a_pool_that_idles_is_no_pipeline() {
    let (mut story, main) = Story::new("app", 2_000);
    story.cpu(main, 0, 2_000, "main compute");
    for worker in 0..8 {
        let task = story.thread(main, 0);
        story.block(task, 0, 10 + worker, "job", Ended::call(call::NANOSLEEP).result(0));
        story.block_with(task, [10 + worker, 2_000], "lib.get", Ended::call(call::FUTEX), LOCK);
    }
    assert_eq!(told(&mut story), None);
}

#[test]
fn processes_of_one_after_the_other_are_slots() {
    let (mut story, main) = Story::new("xargs -P 4", 1_000);
    story.recording.meta.cpus = 8;
    for job in 0..20 {
        let born = job / 4 * 100;
        let task = story.process(Some(main), born, "convert");
        story.block(task, born, born + 100, "lib.sleep", Ended::call(call::NANOSLEEP).result(0));
        story.dies(task, born + 100);
    }
    let found = told(&mut story).expect("slots");
    assert_eq!((found.kind, found.workers, found.items[0].count), (WorkerKind::Slots, 4, 20));
    assert_eq!(found.severity, Severity::Good);
}

/// Who has the lock is held back by a limiter for most of the time: all wait for the limiter.
#[test]
fn a_lock_that_is_held_for_another_wait_is_not_the_cause() {
    let (mut story, main) = Story::new("app", 100_000);
    story.recording.meta.cpus = 8;
    let threads: Vec<TaskId> = (0..6).map(|_| story.thread(main, 0)).collect();
    let mut ready = [0; 6];
    let (mut free, mut last) = (0, None);
    for _ in 0..15 {
        for (worker, task) in threads.iter().enumerate() {
            let fetched = ready[worker] + 20;
            story.block(*task, ready[worker], fetched, "work item fetch", Ended::call(call::NANOSLEEP).result(0));
            let begins = fetched.max(free);
            if let Some(by) = last.filter(|_| begins > fetched) {
                let ended = Ended::call(call::FUTEX).by(by, call::FUTEX);
                story.block_with(*task, [fetched, begins], "work item write pthread_mutex_lock", ended, LOCK);
            }
            let limited = "work item write throttle";
            story.block(*task, begins, begins + 20, limited, Ended::call(call::NANOSLEEP).result(0));
            story.block(*task, begins + 20, begins + 24, "work item write", Ended::call(call::NANOSLEEP).result(0));
            (free, last, ready[worker]) = (begins + 24, Some(*task), begins + 24);
        }
    }
    for (task, at) in threads.iter().zip(ready) {
        story.dies(*task, at);
    }
    let found = told(&mut story).expect("workers");
    assert_eq!(found.category, Category::RateLimiting, "{:?}", found.resources);
}

/// Eight put what they have into a queue that one empties, 8 ms each: they do not lack work, there is no room.
#[test]
fn a_queue_that_one_empties_too_slowly_is_full() {
    let (mut story, main) = Story::new("app", 100_000);
    story.recording.meta.cpus = 8;
    let writer = story.thread(main, 0);
    let threads: Vec<TaskId> = (0..8).map(|_| story.thread(main, 0)).collect();
    let mut ready = [0; 8];
    let mut free = 0;
    for _ in 0..20 {
        for (worker, task) in threads.iter().enumerate() {
            let fetched = ready[worker] + 20;
            story.block(*task, ready[worker], fetched, "produce fetch", Ended::call(call::NANOSLEEP).result(0));
            let taken = fetched.max(free);
            if taken > fetched {
                let ended = Ended::call(call::FUTEX).by(writer, call::FUTEX);
                story.block_with(*task, [fetched, taken], "produce hand_over asyncio.queues.put", ended, LOCK);
            }
            story.block(writer, taken, taken + 8, "consume save", Ended::call(call::NANOSLEEP).result(0));
            (free, ready[worker]) = (taken + 8, taken);
        }
    }
    for (task, at) in threads.iter().zip(ready) {
        story.dies(*task, at);
    }
    let found = told(&mut story).expect("workers");
    assert_eq!((found.workers, found.items[0].count), (8, 160));
    assert_eq!(found.category, Category::PoolExhaustion, "{}", found.root_cause);
    let queue = found.critical().expect("the queue");
    assert!(queue.emptied && queue.places.is_none(), "{queue:?}");
    let side = |side: &Option<Side>| side.as_ref().map(|side| side.function.clone());
    assert_eq!([side(&queue.waiting), side(&queue.holding)], [Some("hand_over".into()), Some("save".into())]);
    assert!(near(queue.turn.expect("a turn").as_ms(), 8.0, 0.1), "{queue:?}");
    assert!(found.change.expect("a change").hint.starts_with("Let save take many"));
}

/// One thread answers four, one after the other, and sleeps for it: it is taken all the time, though it computes nothing.
#[test]
fn a_server_that_waits_with_one_thread_is_saturated() {
    let (mut story, main) = Story::new("app", 100_000);
    story.recording.meta.cpus = 8;
    let server = story.process(Some(main), 0, "serve");
    let threads: Vec<TaskId> = (0..4).map(|_| story.thread(main, 0)).collect();
    let peer = story.peer("127.0.0.1:80", Some(server));
    let mut ready = [0; 4];
    let mut free = 0;
    for _ in 0..5 {
        for (worker, task) in threads.iter().enumerate() {
            let asked = ready[worker];
            let read = asked.max(free);
            let answered = read + 25;
            let ends = [story.socket(*task), story.socket(server)];
            story.connect(ends[0], ends[1]);
            story.transfer(*task, ms(asked), ends[0], Some("item fetch"), 9);
            story.transfer(server, ms(read), ends[1], None, 9);
            story.block(server, read, answered, "serve", Ended::call(call::NANOSLEEP).result(0));
            story.transfer(server, ms(answered), ends[1], Some("serve"), 9);
            let ended = Ended::call(call::RECVFROM).on(OnObject::Socket(ends[0])).by(server, call::SENDTO);
            story.block(*task, asked, answered, "item fetch", ended);
            story.transfer(*task, ms(answered), ends[0], None, 9);
            story.trip(*task, peer, asked, answered, "/item", "item fetch");
            story.was_answered_at(ends[1]);
            story.block(*task, answered, answered + 5, "item keep", Ended::call(call::NANOSLEEP).result(0));
            (free, ready[worker]) = (answered, answered + 5);
        }
    }
    for (task, at) in threads.iter().zip(ready) {
        story.dies(*task, at);
    }
    let found = told(&mut story).expect("workers");
    assert_eq!((found.workers, found.items[0].count), (4, 20));
    assert_eq!(found.category, Category::SaturatedPeer, "{} {:?}", found.root_cause, found.resources);
    assert!(near(found.item_work.as_ms(), 30.0, 0.1), "{:?}", found.item_work);
}

/// A lock that a fork left at one address in all children is one lock.
#[test]
fn processes_that_share_a_lock_share_one() {
    let (mut story, main) = Story::new("app", 100_000);
    story.recording.meta.cpus = 8;
    let threads = (0..6).map(|_| story.process(Some(main), 0, "app")).collect();
    let mut pipeline = Pipeline { story, threads, places: vec![(0, None)], acquire: "pthread_mutex_lock" };
    pipeline.run(15, 12);
    let found = told(&mut pipeline.story).expect("workers");
    assert_eq!((found.kind, found.category), (WorkerKind::Processes, Category::LockContention));
    let locks = found.resources.iter().filter(|one| one.category == Category::LockContention).count();
    assert_eq!(locks, 1, "{:?}", found.resources);
    assert_eq!(found.critical().and_then(|lock| lock.address), Some(0x4000));
}

/// Six wait 20 ms for a CPU before each write: one that the traced programs compute on, or that others have.
#[test]
fn a_cpu_that_others_take_is_not_what_the_workers_share() {
    let run = |own: bool| {
        let (mut story, main) = Story::new("app", 100_000);
        story.recording.meta.cpus = 8;
        let threads: Vec<TaskId> = (0..6).map(|_| story.thread(main, 0)).collect();
        for task in &threads {
            for item in 0..10 {
                let at = item * 50;
                story.block(*task, at, at + 20, "work fetch", Ended::call(call::NANOSLEEP).result(0));
                story.preempted(*task, at + 20, at + 40);
                story.block(*task, at + 40, at + 50, "work keep", Ended::call(call::NANOSLEEP).result(0));
            }
            story.dies(*task, 500);
        }
        match own {
            true => story.cpu(main, 0, 500, "main other"),
            false => story.block_with(main, [0, 500], "main lib.join", Ended::call(call::FUTEX), LOCK),
        }
        story.dies(main, 500);
        told(&mut story).expect("workers")
    };
    let [own, of_others] = [run(true), run(false)];
    assert!(near(own.item_work.as_ms(), 30.0, 0.05), "{:?}", own.item_work);
    assert_eq!(own.category, Category::CpuContention, "{:?}", own.resources);
    assert!(near(of_others.item_work.as_ms(), 50.0, 0.05), "{:?}", of_others.item_work);
    assert_eq!((of_others.category, of_others.severity), (Category::None, Severity::Good));
}

const LOOP: &str = "main asyncio.runners.run asyncio.base_events._run_once";

/// `main` runs a loop in which each life is [from, to) of a coroutine that waits in `of(number)`.
fn in_loop(lives: &[(u64, u64)], of: impl Fn(usize) -> String) -> Story {
    let (mut story, main) = Story::new("app", 1000);
    let mut turns: Vec<(u64, usize, bool)> = Vec::new();
    for (number, (from, to)) in lives.iter().enumerate() {
        turns.extend([(*from, number, true), (*to, number, false)]);
    }
    turns.sort_unstable();
    for (at, number, starts) in turns {
        let stack = format!("{LOOP} {}", of(number));
        let kind = if starts { TurnKind::Started } else { TurnKind::Resumed { round: 1, of_tasks: false } };
        story.turn(main, Nanos(at * 1_000_000), number as u64 + 1, &stack, kind);
    }
    story
}

/// A library's coroutines, and a parent that waits for them: who called the loop is the root of none.
#[test]
fn coroutines_of_a_library_are_no_workers() {
    let lives: Vec<(u64, u64)> = (0..40).map(|number| (100 + number, 150 + number)).collect();
    let mut story = in_loop(&lives, |number| if number == 0 { "go".into() } else { "httpx.get".into() });
    assert_eq!(told(&mut story), None);
}

/// Each does the one item that it is there for, one of them for longer: nobody has run out of work.
#[test]
fn one_item_for_each_coroutine_is_no_imbalance() {
    let mut lives: Vec<(u64, u64)> = (0..20).map(|_| (100, 130)).collect();
    lives.push((100, 800));
    assert_eq!(told(&mut in_loop(&lives, |_| "fetch httpx.get".into())), None);
}

/// Made one after the other, four at a time: four slots, not a crowd of forty.
#[test]
fn coroutines_that_come_one_after_the_other_are_slots() {
    let lives: Vec<(u64, u64)> =
        (0..40).map(|number| number / 4 * 20 + number % 4).map(|from| (from, from + 14)).collect();
    let found = told(&mut in_loop(&lives, |_| "fetch asyncio.tasks.sleep".into())).expect("workers");
    assert_eq!((found.kind, found.workers, found.items[0].count), (WorkerKind::Coroutines, 4, 40));
    assert_eq!(found.severity, Severity::Good, "{found:?}");
}
