//! Recordings of many events: the walk's work grows as they do, whatever waits for whatever.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use super::{Built, MapOptions, built, testing::Story};
use crate::{
    correlate::{self, syscalls as call},
    recording::{CallId, CoroutineId, Event, Nanos, OffCpu, OffState, TaskId, Turn, TurnKind, Waker},
};

fn block(story: &mut Story, task: TaskId, from: u64, to: u64, number: u32, by: Option<TaskId>, stack: &str) {
    let stack = story.stack(stack);
    let id = CallId(story.recording.calls.len() as u32);
    let syscall = Some(number);
    story.recording.calls.push(crate::recording::Call {
        task,
        returned: Nanos(to),
        number,
        result: i64::from(by.is_some()),
        arguments: [0, 5, 0],
        object: crate::recording::OnObject::None,
        stack: Some(stack),
    });
    story.recording.events.push(Event::OffCpu(OffCpu {
        held: None,
        throttled: false,
        task,
        off: Nanos(from),
        woken: Nanos(to),
        on: Nanos(to),
        state: OffState::Interruptible,
        syscall,
        waker: by.map(|by| Waker { task: Some(by), pid: 0, comm: String::new(), syscall, descriptor: 5, timer: false }),
        call: Some(id),
        stack: None,
        unfinished: false,
        unseen_wake: false,
        before: None,
        device: None,
    }));
}

/// Twenty threads that hand one lock round and round; main waits for the last.
fn convoy(waits: u64) -> Story {
    let (mut story, main) = Story::new("python main.py", 1);
    let threads: Vec<TaskId> = (0..20).map(|_| story.thread(main, 0)).collect();
    for turn in 0..waits {
        let (now, before) = (threads[(turn % 20) as usize], threads[((turn + 19) % 20) as usize]);
        // Each waits for all the others' turns of 100 ns.
        let since = (turn * 100).saturating_sub(1900);
        block(&mut story, now, since, turn * 100 + 1, call::FUTEX, Some(before), "work lock");
    }
    let end = waits * 100 + 100;
    block(&mut story, main, 10, end, call::FUTEX, Some(threads[((waits + 19) % 20) as usize]), "main join");
    story.recording.meta.wall = Nanos(end + 10);
    story.recording.tasks[0].died = None;
    story
}

/// A loop that a ticker wakes, while its main coroutine waits for others all the time.
fn ticks(polls: u64) -> Story {
    let (mut story, main) = Story::new("python main.py", 1);
    for poll in 0..polls {
        let (from, to) = (poll * 1000 + 10, poll * 1000 + 900);
        block(&mut story, main, from, to, call::EPOLL_WAIT, None, "main asyncio.base_events._run_once");
        let waits = [
            (100, "main asyncio.base_events._run_once client", TurnKind::Main { of_tasks: false }),
            (7, "main asyncio.base_events._run_once tick", TurnKind::Resumed { round: 0, of_tasks: false }),
        ];
        for (coroutine, stack, kind) in waits {
            let (coroutine, stack) = (CoroutineId(coroutine), story.stack(stack));
            story.recording.turns.push(Turn { at: Nanos(to + 5), task: main, coroutine, stack, kind });
        }
    }
    let stack = story.stack("main asyncio.base_events._run_once client");
    story.recording.turns.push(Turn {
        at: Nanos(polls * 1000),
        task: main,
        coroutine: CoroutineId(100),
        stack,
        kind: TurnKind::Resumed { round: 2, of_tasks: true },
    });
    story.recording.meta.wall = Nanos(polls * 1000);
    story.recording.tasks[0].died = None;
    story
}

fn work(mut story: Story) -> usize {
    story.recording.events.sort_by_key(Event::at);
    let correlated = correlate::correlate(&story.recording);
    let options = MapOptions::default();
    let Built { map, pieces, .. } = built(&story.recording, &story.resolved, &correlated, &options, true);
    assert_eq!(map.closure_error, 0);
    pieces.unwrap_or_default().len()
}

#[test]
fn twice_the_events_are_twice_the_work() {
    let makers: [fn(u64) -> Story; 2] = [convoy, ticks];
    for make in makers {
        let (one, two) = (work(make(2000)), work(make(4000)));
        assert!(two <= one * 5 / 2, "{one} pieces, then {two}");
    }
}
