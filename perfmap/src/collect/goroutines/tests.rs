//! Small stories of a program's threads and goroutines → tasks with waits.

use super::*;
use crate::recording::{
    Call, CallId, Direction, Event, Layer, Message, OffCpu, OffState, OnObject, Process, ProcessId, Sample, SocketId,
    Task, Waker,
};

const FUTEX: u32 = 202;

fn ms(time: u64) -> Nanos {
    Nanos(time * 1_000_000)
}

struct Story {
    recording: Recording,
    facts: Vec<Fact>,
}

/// One process with two threads, that live for 100 ms.
fn story() -> Story {
    let process = Process {
        pid: 7,
        parent: None,
        born: Nanos::ZERO,
        died: Some(ms(100)),
        ending: None,
        images: Vec::new(),
        own_name: None,
        cpu: Nanos::ZERO,
    };
    let task = |tid: u32, maker: Option<TaskId>| Task {
        tid,
        process: ProcessId(0),
        maker,
        born: Nanos::ZERO,
        died: Some(ms(100)),
        comm: "program".into(),
    };
    let tasks = vec![task(7, None), task(8, Some(TaskId(0)))];
    Story { recording: Recording { processes: vec![process], tasks, ..Recording::default() }, facts: Vec::new() }
}

impl Story {
    fn fact(&mut self, at: u64, thread: u32, what: What) -> &mut Self {
        self.facts.push(Fact { at: ms(at), thread: TaskId(thread), what });
        self
    }

    fn runs(&mut self, at: u64, thread: u32, goroutine: u64) -> &mut Self {
        self.recording.events.push(Event::Sample(Sample { at: ms(at), task: TaskId(thread), stack: StackId(0) }));
        self.fact(at, thread, What::Runs(Goroutine(goroutine)))
    }

    fn waits(&mut self, at: u64, thread: u32, goroutine: u64, stack: u32, reason: Reason) -> &mut Self {
        let goroutine = Goroutine(goroutine);
        self.fact(at, thread, What::Waits { goroutine, stack: StackId(stack), reason })
    }

    /// The thread's scheduler sleeps.
    fn idle(&mut self, thread: u32, from: u64, to: u64, by: Option<u32>) -> &mut Self {
        let call = CallId(self.recording.calls.len() as u32);
        self.recording.calls.push(Call {
            task: TaskId(thread),
            returned: ms(to),
            number: FUTEX,
            result: 0,
            arguments: [0; 3],
            object: OnObject::None,
            stack: None,
        });
        self.off(thread, from, to, by, Some(call));
        self.fact(to, thread, What::Schedules)
    }

    fn off(&mut self, thread: u32, from: u64, to: u64, by: Option<u32>, call: Option<CallId>) {
        let waker = by.map(|by| Waker {
            task: Some(TaskId(by)),
            pid: 7,
            comm: String::new(),
            syscall: Some(FUTEX),
            descriptor: -1,
            timer: false,
        });
        self.recording.events.push(Event::OffCpu(OffCpu {
            task: TaskId(thread),
            off: ms(from),
            woken: ms(to),
            on: ms(to),
            state: OffState::Interruptible,
            syscall: Some(if call.is_some() { FUTEX } else { 0 }),
            waker,
            call,
            stack: None,
            unfinished: false,
            throttled: false,
            held: None,
            unseen_wake: false,
            before: None,
            device: None,
        }));
    }

    fn message(&mut self, at: u64, thread: u32, direction: Direction) -> &mut Self {
        self.recording.events.push(Event::Message(Message {
            at: ms(at),
            task: TaskId(thread),
            socket: SocketId(0),
            layer: Layer::Wire,
            direction,
            bytes: 10,
            descriptor: 3,
            marks: Vec::new(),
            stack: (direction == Direction::Sent).then_some(StackId(9)),
        }));
        self
    }

    fn told(&mut self) -> Told {
        let mut recording = std::mem::take(&mut self.recording);
        let goroutines = Goroutines { facts: std::mem::take(&mut self.facts), ..Goroutines::default() };
        goroutines.into_tasks(true, &mut recording);
        Told(recording)
    }
}

struct Told(Recording);

/// From, to, system call, stack, waker.
type Waited = (u64, u64, Option<u32>, Option<u32>, Option<TaskId>);

impl Told {
    fn task(&self, name: &str) -> TaskId {
        TaskId(self.0.tasks.iter().position(|task| task.comm == name).unwrap() as u32)
    }

    fn waits(&self, task: TaskId) -> Vec<Waited> {
        let mut found: Vec<_> = self
            .0
            .events
            .iter()
            .filter_map(|event| match event {
                Event::OffCpu(off) if off.task == task => Some((
                    off.off.0 / 1_000_000,
                    off.on.0 / 1_000_000,
                    off.syscall,
                    off.stack.map(|stack| stack.0),
                    off.waker.as_ref().and_then(|waker| waker.task),
                )),
                _ => None,
            })
            .collect();
        found.sort();
        found
    }
}

#[test]
fn a_sleep_goes_on_while_the_thread_runs_another() {
    let mut story = story();
    story.runs(5, 0, 1).idle(0, 10, 20, None).waits(10, 0, 1, 3, Reason::Sleep);
    story.runs(25, 0, 2).idle(0, 30, 60, None).runs(70, 0, 1);
    let told = story.told();
    assert_eq!(told.waits(TaskId(0)), [(10, 60, Some(35), Some(3), None)]);
    let other = told.task("goroutine 2");
    let owner = |at: u64| {
        told.0.events.iter().find_map(|event| match event {
            Event::Sample(sample) if sample.at == ms(at) => Some(sample.task),
            _ => None,
        })
    };
    assert_eq!((owner(5), owner(25), owner(70)), (Some(TaskId(0)), Some(other), Some(TaskId(0))));
}

/// Who makes another one ready hands its thread over.
#[test]
fn a_channel_is_ended_by_whom_ran_before() {
    let mut story = story();
    story.runs(5, 0, 1).waits(10, 1, 1, 4, Reason::Goroutine).idle(0, 10, 30, None);
    story.runs(35, 0, 2).runs(40, 0, 1);
    let told = story.told();
    assert_eq!(told.waits(TaskId(0)), [(10, 40, Some(0), Some(4), Some(told.task("goroutine 2")))]);
}

/// Or wakes the thread that takes it up.
#[test]
fn a_mutex_is_let_go_on_another_thread() {
    let mut story = story();
    story.runs(5, 0, 1).runs(8, 1, 2).waits(11, 0, 1, 4, Reason::Lock).idle(0, 10, 50, Some(1));
    story.runs(45, 1, 2).runs(52, 0, 1);
    let told = story.told();
    assert_eq!(told.waits(TaskId(0)), [(10, 50, Some(FUTEX), Some(4), Some(told.task("goroutine 2")))]);
}

/// Of a thread that was woken, who ran first is made up where nobody was seen; in whose time it was woken is known.
#[test]
fn who_woke_the_thread_comes_before_what_is_made_up() {
    let mut story = story();
    story.runs(5, 0, 1).waits(8, 0, 7, 2, Reason::Sleep).waits(11, 0, 1, 4, Reason::Lock);
    story.idle(0, 10, 50, Some(1)).runs(50, 1, 2).runs(55, 1, 2);
    story.waits(61, 0, 7, 2, Reason::Sleep).waits(61, 0, 1, 9, Reason::Sleep).idle(0, 60, 90, None);
    let told = story.told();
    assert_eq!(told.waits(TaskId(0))[0], (10, 55, Some(FUTEX), Some(4), Some(told.task("goroutine 2"))));
}

/// A timer ended the thread's sleep, so whoever waited for that ran first, and made the one that was seen.
#[test]
fn a_new_goroutine_was_made_by_whom_ran_before() {
    let mut story = story();
    story.runs(5, 1, 4).waits(11, 1, 4, 2, Reason::Sleep).idle(1, 10, 40, None);
    story.runs(45, 1, 9).waits(51, 1, 4, 2, Reason::Sleep).idle(1, 50, 90, None);
    let told = story.told();
    let (maker, made) = (told.task("goroutine 4"), told.task("goroutine 9"));
    assert_eq!(told.0.tasks[made.0 as usize].maker, Some(maker));
    assert_eq!(told.waits(maker)[0], (10, 40, Some(35), Some(2), None));
}

/// A handler's last stint: a timer ended its sleep, it told who waits for it, and was gone before anybody looked. Who was told
/// made another one, and that one was seen; a new one that waits was made after that.
#[test]
fn who_slept_and_was_gone_ran_before_whom_it_made_ready() {
    let mut story = story();
    story.runs(3, 1, 9).runs(5, 0, 4).waits(11, 0, 4, 3, Reason::Goroutine);
    story.waits(13, 1, 9, 2, Reason::Sleep).idle(0, 10, 40, None).idle(1, 12, 95, Some(0));
    story.runs(50, 0, 7).waits(61, 0, 4, 3, Reason::Goroutine).waits(61, 0, 8, 2, Reason::Sleep);
    story.fact(61, 0, What::Ended(Goroutine(9))).idle(0, 60, 90, None);
    let told = story.told();
    let [slept, told_by, made] = [9, 4, 7].map(|number| told.task(&format!("goroutine {number}")));
    assert_eq!(told.waits(slept), [(12, 40, Some(35), Some(2), None)]);
    let waits = told.waits(told_by);
    assert_eq!((waits[0].0, waits[0].2, waits[0].4), (10, Some(0), Some(slept)), "{waits:?}");
    assert_eq!(told.0.tasks[made.0 as usize].maker, Some(told_by));
}

/// One that is blocked in a call makes nobody ready.
#[test]
fn who_is_blocked_ends_no_wait() {
    let mut story = story();
    story.runs(5, 0, 1).off(0, 10, 80, None, None);
    story.runs(81, 0, 1).runs(8, 1, 2).waits(21, 1, 2, 4, Reason::Goroutine);
    story.idle(1, 20, 50, None).runs(51, 1, 2);
    let told = story.told();
    assert_eq!(told.waits(told.task("goroutine 2"))[0], (20, 50, Some(0), Some(4), None));
}

/// Two threads that were idle wake one after the other; the first one's goroutine was not seen, so when it went on is not known.
#[test]
fn who_went_on_unseen_can_have_waited_for_one_that_began_later() {
    let mut story = story();
    story.runs(5, 0, 1).runs(6, 1, 2).waits(11, 0, 1, 4, Reason::Goroutine).idle(0, 10, 40, None);
    story.idle(1, 12, 41, None).runs(42, 1, 2).waits(51, 0, 1, 4, Reason::Goroutine).idle(0, 50, 90, None);
    let told = story.told();
    assert_eq!(told.waits(TaskId(0))[0], (10, 40, Some(0), Some(4), Some(told.task("goroutine 2"))));
}

/// What it waited for last it waited for until it was gone.
#[test]
fn the_last_wait_lasts_to_the_end() {
    let mut story = story();
    story.runs(5, 1, 5).idle(1, 10, 70, None).waits(11, 1, 5, 4, Reason::Sleep);
    story.fact(60, 0, What::Ended(Goroutine(5)));
    let told = story.told();
    assert_eq!(told.waits(told.task("goroutine 5")), [(10, 60, Some(35), Some(4), None)]);
}

/// The runtime uses the structure of one that ended for a later one.
#[test]
fn a_structure_that_is_used_again_ends_the_one_before() {
    let mut goroutines = Goroutines::default();
    goroutines.found(7, Reasons::of([&b"sleep"[..]].into_iter()));
    let mut waits = |at: u64, goroutine: u64, structure: u64| {
        let record = wire::Goroutine {
            header: wire::Header { at, kind: wire::Kind::Goroutine as u32, pid: 7, tid: 7, cpu: 0 },
            goroutine,
            connection: structure,
            what: wire::GoroutineWhat::Waits as u32,
            reason: 0,
            stack: wire::StackHead { registers: [0; 17], coroutine: 0, python: 0, kernel: 0, user: 0, flags: 0 },
        };
        goroutines.seen(ms(at), TaskId(0), &record, wire::GoroutineWhat::Waits, Some(StackId(0)));
    };
    waits(1, 3, 0x1000);
    waits(2, 4, 0x2000);
    waits(3, 3, 0x1000);
    waits(4, 9, 0x1000);
    let ended: Vec<_> = goroutines.facts.iter().filter(|fact| matches!(fact.what, What::Ended(_))).collect();
    assert_eq!(ended, [&Fact { at: ms(4), thread: TaskId(0), what: What::Ended(Goroutine(3)) }]);
}

/// One goroutine writes and another one reads for the one that asks: messages and wait are the asker's.
#[test]
fn a_request_is_its_askers() {
    let mut story = story();
    let asks = What::Asks { goroutine: Goroutine(5), stack: StackId(2), connection: 77 };
    story.runs(5, 0, 1).runs(9, 1, 5).fact(10, 1, asks).waits(10, 0, 5, 6, Reason::Goroutine);
    story.fact(12, 1, What::Writes { goroutine: Goroutine(8), connection: 77 }).message(13, 1, Direction::Sent);
    story.runs(13, 1, 8).idle(1, 14, 40, None).message(41, 1, Direction::Received).runs(41, 1, 9).runs(43, 1, 5);
    let told = story.told();
    let asker = told.task("goroutine 5");
    let wait = told.waits(asker);
    assert_eq!(wait[0], (12, 43, Some(45), Some(6), None), "{wait:?}");
    let call = told.0.calls.iter().find(|call| call.task == asker).unwrap();
    assert_eq!(call.object, OnObject::Socket(SocketId(0)));
    let messages: Vec<_> = told
        .0
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Message(message) => Some((message.task, message.stack)),
            _ => None,
        })
        .collect();
    assert_eq!(messages, [(asker, Some(StackId(2))), (asker, None)]);
}

/// A connection's writer that gathers what is asked (gRPC's) yields before it sends, and another thread may go on with it: it
/// is the asker's request all the same.
#[test]
fn a_request_is_its_askers_whichever_thread_sends_it() {
    let mut story = story();
    let asks = What::Asks { goroutine: Goroutine(5), stack: StackId(2), connection: 77 };
    story.runs(5, 0, 1).runs(9, 0, 5).fact(10, 0, asks).waits(11, 1, 5, 6, Reason::Goroutine).runs(11, 1, 9);
    story.fact(12, 0, What::Writes { goroutine: Goroutine(8), connection: 77 }).runs(13, 0, 1).idle(0, 14, 60, None);
    story.message(20, 1, Direction::Sent).runs(20, 1, 8).idle(1, 21, 40, None);
    story.message(41, 1, Direction::Received).runs(41, 1, 9).runs(43, 1, 5);
    let told = story.told();
    let asker = told.task("goroutine 5");
    let sockets: Vec<_> = told.0.calls.iter().filter(|call| call.task == asker).map(|call| call.object).collect();
    assert_eq!(sockets, [OnObject::Socket(SocketId(0))]);
    let messages = told.0.events.iter().filter_map(|event| match event {
        Event::Message(message) => Some((message.task, message.stack)),
        _ => None,
    });
    assert_eq!(messages.collect::<Vec<_>>(), [(asker, Some(StackId(2))), (asker, None)]);
}

/// Two ask for the same connection, and the first to write waits for its turn until the other one has sent: each message is
/// its own asker's.
#[test]
fn who_waits_for_the_connection_writes_later() {
    let mut story = story();
    let asks =
        |goroutine, stack| What::Asks { goroutine: Goroutine(goroutine), stack: StackId(stack), connection: goroutine };
    let writes = |goroutine| What::Writes { goroutine: Goroutine(goroutine), connection: goroutine };
    story.runs(5, 0, 5).fact(6, 0, asks(5, 2)).runs(5, 1, 6).fact(7, 1, asks(6, 3));
    story.fact(8, 1, writes(6)).fact(9, 0, writes(5)).waits(10, 0, 5, 4, Reason::Lock).runs(10, 0, 1);
    story.message(12, 1, Direction::Sent).runs(12, 1, 6).waits(13, 1, 6, 7, Reason::Goroutine).runs(13, 1, 7);
    story.message(15, 1, Direction::Sent).runs(15, 1, 5).idle(0, 16, 90, None).idle(1, 17, 90, None);
    let told = story.told();
    let messages = told.0.events.iter().filter_map(|event| match event {
        Event::Message(message) => Some((message.at, message.task, message.stack)),
        _ => None,
    });
    let (first, second) = (told.task("goroutine 6"), told.task("goroutine 5"));
    assert_eq!(messages.collect::<Vec<_>>(), [(ms(12), first, Some(StackId(3))), (ms(15), second, Some(StackId(2)))]);
}

/// The scheduler's sleeps stay with the thread; what blocks inside a goroutine is the goroutine's.
#[test]
fn a_blocking_call_is_the_goroutines() {
    let mut story = story();
    story.runs(5, 1, 4).off(1, 10, 30, None, None);
    story.recording.calls.clear();
    story.runs(31, 1, 4).idle(1, 40, 90, None);
    let told = story.told();
    let (goroutine, main) = (told.task("goroutine 4"), TaskId(0));
    assert!(told.waits(goroutine).contains(&(10, 30, Some(0), None, None)), "{:?}", told.waits(goroutine));
    assert_eq!(told.waits(TaskId(1)), [(40, 90, Some(FUTEX), None, None)]);
    assert!(told.waits(main).is_empty());
}

#[test]
fn nothing_seen_changes_nothing() {
    let mut story = story();
    story.off(1, 10, 30, None, None);
    let before = story.recording.clone();
    assert_eq!(story.told().0.tasks, before.tasks);
}

proptest::proptest! {
    /// Facts that contradict each other: waits of a task neither overlap nor leave its life, and time is not invented.
    #[test]
    fn waits_of_a_goroutine_do_not_overlap(
        facts in proptest::collection::vec((0u64..100, 0u32..3, 0u64..5, 0u32..6), 0..60),
        idle in proptest::collection::vec((0u32..2, 0u64..90, 1u64..20), 0..10),
    ) {
        let mut story = story();
        for (thread, from, length) in idle {
            story.idle(thread, from, from + length, Some(1 - thread));
        }
        for (at, thread, goroutine, kind) in facts {
            let (stack, goroutine) = (StackId(kind), Goroutine(goroutine));
            let reasons = [Reason::Sleep, Reason::Descriptor, Reason::Lock, Reason::Goroutine, Reason::Runtime];
            story.fact(at, thread, match kind {
                0 => What::Runs(goroutine),
                1 => What::GoesOn(goroutine),
                2 => What::Ended(goroutine),
                3 => What::Asks { goroutine, stack, connection: 1 },
                4 => What::Writes { goroutine, connection: 1 },
                _ => What::Waits { goroutine, stack, reason: reasons[(at % 5) as usize] },
            });
        }
        let told = story.told();
        for (index, task) in told.0.tasks.iter().enumerate().filter(|(_, task)| task.comm.starts_with("goroutine")) {
            let mut now = task.born;
            let mut own: Vec<&OffCpu> = told.0.events.iter().filter_map(|event| match event {
                Event::OffCpu(off) if off.task == TaskId(index as u32) => Some(off),
                _ => None,
            }).collect();
            own.sort_by_key(|off| (off.off, off.on));
            for off in own {
                proptest::prop_assert!(now <= off.off && off.off <= off.woken && off.woken <= off.on, "{off:?} after {now:?}");
                proptest::prop_assert!(task.died.is_none_or(|died| off.on <= died), "{off:?} after its end {task:?}");
                now = off.on;
            }
        }
    }
}
