//! All facts and the recording → the recording with goroutines as tasks.
//!
//! The main goroutine takes the place of its process's first thread, whose id others know: what they wait for is `main`, not
//! the thread that it was born on. That thread's own rest becomes a task of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fact, Goroutine, MAIN, What,
    lives::Life,
    ran::{Ran, idle},
    requests::Requests,
    stints::{Slept, Stint, Thread, stints},
    waits::{life, waits},
};
use crate::recording::{CallId, Direction, Event, Nanos, ProcessId, Recording, Task, TaskId};

/// `launched`: the first process was, and seen from its start.
pub fn turn_into_tasks(mut facts: Vec<Fact>, launched: bool, recording: &mut Recording) {
    if facts.is_empty() {
        return;
    }
    facts.sort_by_key(|fact| fact.at);
    let end = recording.events.iter().map(Event::at).max().unwrap_or_default();
    let mut of_process: BTreeMap<ProcessId, Vec<Fact>> = BTreeMap::new();
    let mut scheduler: BTreeSet<(TaskId, Nanos)> = BTreeSet::new();
    for fact in facts {
        let Some(task) = recording.tasks.get(fact.thread.0 as usize) else { continue };
        if fact.what == What::Schedules {
            scheduler.insert((fact.thread, fact.at));
        }
        of_process.entry(task.process).or_default().push(fact);
    }
    // One that became another program: which of its threads goes on with that is chance.
    of_process.retain(|process, facts| {
        let images = recording.processes.get(process.0 as usize).map_or(&[][..], |process| process.images.as_slice());
        let first = facts.first().map_or(Nanos::ZERO, |fact| fact.at);
        images.iter().all(|image| image.at <= first)
    });
    let idle = idle(recording, |thread, returned| scheduler.contains(&(thread, returned)));
    let mut ran = Ran::new(recording, &idle);
    let mut lives = Vec::new();
    for (process, facts) in &of_process {
        lives.extend(of(*process, facts, recording, end, launched, &mut ran));
    }
    for life in &lives {
        let maker = life.maker(&ran, &recording.tasks);
        if let Some(task) = recording.tasks.get_mut(life.task.0 as usize) {
            task.maker = maker.or(task.maker);
        }
    }
    let requests = Requests::new(&of_process, &ran);
    let mut made = Vec::new();
    for life in &lives {
        let pid = recording.processes.get(life.process.0 as usize).map_or(0, |process| process.pid);
        made.extend(life.events(pid, &ran, &requests));
    }
    attribute(recording, &idle, &ran, &requests);
    for (mut off, call) in made {
        if let Some(call) = call {
            off.call = Some(CallId(recording.calls.len() as u32));
            recording.calls.push(call);
        }
        recording.events.push(Event::OffCpu(off));
    }
}

/// The goroutines of one process, with a task for each.
fn of(
    process: ProcessId,
    facts: &[Fact],
    recording: &mut Recording,
    end: Nanos,
    launched: bool,
    ran: &mut Ran,
) -> Vec<Life> {
    let Some(of_process) = recording.processes.get(process.0 as usize) else { return Vec::new() };
    let (pid, end) = (of_process.pid, of_process.died.unwrap_or(end));
    let mut threads: BTreeMap<TaskId, Thread> = BTreeMap::new();
    let mut first = None;
    for id in ran.threads.get(&process).into_iter().flatten().copied() {
        let Some(task) = recording.tasks.get(id.0 as usize) else { continue };
        let is_first = task.tid == pid && first.is_none();
        if is_first {
            first = Some(id);
        }
        // What a program that ran already did before is not known.
        let from_its_start = task.maker.is_some() || launched && process == ProcessId(0);
        let idle = ran.idle.get(&id).into_iter().flatten();
        let idle = idle.map(|idle| Slept { from: idle.from, to: idle.to, woken: idle.by.is_some() }).collect();
        let (born, died) = (task.born, task.died.unwrap_or(end));
        threads.insert(id, Thread { born, died, idle, first: is_first && from_its_start });
        ran.process.insert(id, process);
    }
    let of_threads = stints(&threads, facts);
    let mut of_goroutine: BTreeMap<Goroutine, (Vec<Fact>, Vec<Stint>)> = BTreeMap::new();
    for fact in facts {
        if let Some(goroutine) = fact.what.of() {
            of_goroutine.entry(goroutine).or_default().0.push(fact.clone());
        }
    }
    for stint in of_threads.values().flatten() {
        of_goroutine.entry(stint.goroutine).or_default().1.push(*stint);
    }
    ran.stints.extend(of_threads);
    let mut found = Vec::new();
    for (goroutine, (own, mut stints)) in of_goroutine {
        stints.sort_by_key(|stint| (stint.from, stint.to));
        let Some((mut born, mut died)) = life(&own, &stints, end) else { continue };
        let task = match first.filter(|_| goroutine == MAIN) {
            Some(first) => {
                if let Some(task) = recording.tasks.get_mut(first.0 as usize) {
                    let rest = Task { tid: 0, maker: Some(first), ..task.clone() };
                    (born, died) = (task.born, end);
                    task.died = rest.died.map(|_| end);
                    ran.rest.insert(first, TaskId(recording.tasks.len() as u32));
                    recording.tasks.push(rest);
                }
                first
            }
            None => {
                let died = (died < end).then_some(died).or(recording.processes[process.0 as usize].died);
                let comm = format!("goroutine {}", goroutine.0);
                recording.tasks.push(Task { tid: 0, process, maker: first, born, died, comm });
                TaskId(recording.tasks.len() as u32 - 1)
            }
        };
        ran.task.insert((process, goroutine), task);
        ran.seen.insert((process, goroutine), own.first().map_or(born, |fact| fact.at));
        let waits = waits(&own, &stints, born, died);
        found.push(Life { process, task, stints, waits, goroutine, end });
    }
    found
}

/// What threads did becomes what goroutines did.
fn attribute(recording: &mut Recording, idle: &[bool], ran: &Ran, requests: &Requests) {
    let Recording { tasks, events, calls, .. } = recording;
    let mut moved: Vec<Option<TaskId>> = vec![None; calls.len()];
    for (event, idle) in events.iter_mut().zip(idle) {
        match event {
            Event::Sample(sample) => sample.task = ran.at(sample.task, sample.at),
            Event::ShortWaits(short) => short.task = ran.at(short.task, short.to),
            Event::FileIo(io) => io.task = ran.at(io.task, io.last),
            Event::Memory(memory) => memory.task = ran.at(memory.task, memory.at),
            Event::OffCpu(off) => {
                if let Some(waker) = &mut off.waker
                    && let Some(task) = waker.task
                {
                    waker.task = Some(ran.at(task, off.woken));
                }
                off.task = if *idle { ran.rest(off.task) } else { ran.at(off.task, off.off) };
                if let Some(to) = off.call.and_then(|call| moved.get_mut(call.0 as usize)) {
                    *to = Some(off.task);
                }
            }
            Event::Message(message) => {
                let process = ran.process.get(&message.task).copied();
                let by = process.and_then(|process| requests.on(process, message.socket, message.at));
                match by.and_then(|by| Some((ran.goroutine(message.task, by.goroutine)?, by.stack))) {
                    Some((task, stack)) => {
                        message.task = task;
                        // Of the one that writes for others only the first send's may have been taken.
                        message.stack = match message.direction {
                            Direction::Sent => Some(stack),
                            Direction::Received => message.stack.map(|_| stack),
                        };
                    }
                    None => message.task = ran.at(message.task, message.at),
                }
            }
        }
    }
    for (call, moved) in calls.iter_mut().zip(moved) {
        call.task = moved.unwrap_or_else(|| ran.at(call.task, call.returned));
    }
    let made: Vec<Option<TaskId>> = tasks.iter().map(|task| Some(ran.at(task.maker?, task.born))).collect();
    // Those of goroutines themselves are not known.
    for (task, maker) in tasks.iter_mut().zip(made).filter(|(task, _)| task.tid != 0) {
        task.maker = maker.or(task.maker);
    }
}
