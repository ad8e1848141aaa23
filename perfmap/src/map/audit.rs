//! A recording → which laws its map breaks: none, or there is a fault in the walk. The property tests ask it of generated
//! recordings, the live tests of real ones.

use super::{
    MapOptions, built,
    model::{Map, Step},
};
use crate::{
    correlate::{Correlated, State, end_of},
    recording::{Event, FileOperation, Nanos, Recording},
    resolve::Resolved,
};

/// A law that does not hold. Where it concerns a step, that is its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// An instant of the wall time with two owners.
    OwnedTwice { from: Nanos, to: Nanos },
    /// One without any.
    NotOwned { from: Nanos, to: Nanos },
    /// What all own is not the wall time.
    Sum { owned: Nanos, wall: Nanos },
    /// A thread's timeline has a gap or an overlap there, or a wait that is not its segment's.
    Timeline { task: usize, at: Nanos },
    /// Two steps of one id.
    Id(String),
    /// Longer than the wall time or its parent, or with more own time than it is long.
    Longer(String),
    /// It is not as long as its parts: on the CPU and by causes; itself and its children.
    Parts(String),
    /// The sum over threads is less than the union, or more CPU time than there was.
    Threads(String),
    /// Children out of order, a service that is none, a share that is no number.
    Shape(String),
    /// Of files: counted and seen.
    Bytes { counted: u64, seen: u64 },
}

pub fn audit(recording: &Recording, resolved: &Resolved, correlated: &Correlated, options: &MapOptions) -> Vec<Broken> {
    let mut found = Vec::new();
    timelines(recording, correlated, &mut found);
    let built = built(recording, resolved, correlated, options, true);
    owners(built.pieces.unwrap_or_default(), built.map.wall, &mut found);
    sums(recording, &built.map, &mut found);
    let cpu = cpu(correlated, built.map.wall);
    let mut ids = Vec::new();
    for step in &built.map.steps {
        of_step(&built.map, step, cpu, &mut ids, &mut found);
    }
    ids.sort_unstable();
    found.extend(ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| Broken::Id(pair[0].to_owned())));
    let all = |of: fn(&Step) -> u64| built.map.steps.iter().map(|step| total(step, of)).sum::<u64>();
    for (operation, counted) in [
        (FileOperation::Read, all(|step| step.file_read) + built.remainder.file_read),
        (FileOperation::Write, all(|step| step.file_written) + built.remainder.file_written),
    ] {
        let seen = bytes(recording, operation);
        // What services outside of the command did for others is nobody's.
        if counted > seen.0 || counted < seen.1 {
            found.push(Broken::Bytes { counted, seen: seen.0 });
        }
    }
    found
}

fn owners(mut pieces: Vec<(Nanos, Nanos)>, wall: Nanos, found: &mut Vec<Broken>) {
    pieces.sort_unstable();
    let mut now = Nanos::ZERO;
    for (from, to) in pieces {
        if from < now {
            found.push(Broken::OwnedTwice { from, to: now.min(to) });
        }
        if from > now {
            found.push(Broken::NotOwned { from: now, to: from });
        }
        now = now.max(to);
    }
    if now < wall {
        found.push(Broken::NotOwned { from: now, to: wall });
    }
    if now > wall {
        found.push(Broken::OwnedTwice { from: wall, to: now });
    }
}

fn sums(recording: &Recording, map: &Map, found: &mut Vec<Broken>) {
    fn own(step: &Step) -> Nanos {
        step.self_time.plus(step.children.iter().map(own).sum())
    }
    let owned = map.steps.iter().map(own).sum::<Nanos>().plus(map.outside.self_time).plus(map.idle);
    if owned != map.wall || map.closure_error != 0 {
        found.push(Broken::Sum { owned, wall: map.wall });
    }
    if map.outside.cpu.plus(map.outside.waits.total()) != map.outside.self_time {
        found.push(Broken::Parts("outside".into()));
    }
    if !recording.meta.attached && (map.idle != Nanos::ZERO || !map.served.is_empty()) {
        found.push(Broken::Shape("idle".into()));
    }
}

fn of_step<'a>(map: &Map, step: &'a Step, cpu: Nanos, ids: &mut Vec<&'a str>, found: &mut Vec<Broken>) {
    let id = || step.id.clone();
    ids.push(&step.id);
    if step.wall > map.wall || step.self_time > step.wall || step.children.iter().any(|child| child.wall > step.wall) {
        found.push(Broken::Longer(id()));
    }
    let below: Nanos = step.children.iter().map(|child| child.wall).sum();
    let whole =
        step.beside || step.cpu.plus(step.waits.total()) == step.wall && below.plus(step.self_time) == step.wall;
    if !whole || step.own_cpu.plus(step.own_waits.total()) != step.self_time {
        found.push(Broken::Parts(id()));
    }
    if step.thread_time < step.wall || step.thread_cpu > cpu {
        found.push(Broken::Threads(id()));
    }
    let ordered = step.children.windows(2).all(|pair| pair[0].wall >= pair[1].wall);
    let share = step.error_pct.is_finite() && (0.0..=100.0).contains(&step.error_pct);
    let alike = step.children.iter().all(|child| child.beside == step.beside);
    if !ordered || !share || !alike || step.service >= map.services.len() {
        found.push(Broken::Shape(id()));
    }
    for child in &step.children {
        of_step(map, child, cpu, ids, found);
    }
}

fn total(step: &Step, of: fn(&Step) -> u64) -> u64 {
    of(step) + step.children.iter().map(|child| total(child, of)).sum::<u64>()
}

/// Of all threads, within the wall time.
fn cpu(correlated: &Correlated, wall: Nanos) -> Nanos {
    let segments = correlated.timelines.iter().flat_map(|timeline| &timeline.0);
    let on = segments.filter(|segment| matches!(segment.state, State::Cpu { .. }));
    on.map(|segment| segment.to.min(wall).since(segment.from.min(wall))).sum()
}

/// All that were seen, and those of them that somebody must have.
fn bytes(recording: &Recording, of: FileOperation) -> (u64, u64) {
    let mut sums = (0, 0);
    for event in &recording.events {
        let Event::FileIo(io) = event else { continue };
        if io.operation == of {
            sums.0 += io.bytes;
            let process = recording.tasks.get(io.task.0 as usize).map(|task| task.process);
            if process.is_none_or(|process| !recording.is_outside(process)) {
                sums.1 += io.bytes;
            }
        }
    }
    sums
}

fn timelines(recording: &Recording, correlated: &Correlated, found: &mut Vec<Broken>) {
    let end = end_of(recording);
    for (index, (task, timeline)) in recording.tasks.iter().zip(&correlated.timelines).enumerate() {
        let mut now = task.born;
        for segment in &timeline.0 {
            let waited = match segment.state {
                State::Blocked(wait) | State::RunQueue(wait) => {
                    let wait = correlated.wait(wait);
                    wait.off <= segment.from && segment.to <= wait.on
                }
                State::Cpu { .. } => true,
            };
            if segment.from != now || segment.to <= segment.from || !waited {
                found.push(Broken::Timeline { task: index, at: segment.from });
            }
            now = segment.to;
        }
        if now != task.died.unwrap_or(end).max(task.born) {
            found.push(Broken::Timeline { task: index, at: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{build, testing::Story};

    fn owned(pieces: &[(u64, u64)]) -> Vec<Broken> {
        let mut found = Vec::new();
        let pieces = pieces.iter().map(|(from, to)| (Nanos(*from), Nanos(*to))).collect();
        owners(pieces, Nanos(10), &mut found);
        found
    }

    #[test]
    fn every_instant_has_one_owner() {
        let (twice, none) = (
            |from, to| Broken::OwnedTwice { from: Nanos(from), to: Nanos(to) },
            |from, to| Broken::NotOwned { from: Nanos(from), to: Nanos(to) },
        );
        assert_eq!(owned(&[(4, 10), (0, 4)]), []);
        assert_eq!(owned(&[(0, 5), (4, 10)]), [twice(4, 5)]);
        assert_eq!(owned(&[(0, 10), (2, 3)]), [twice(2, 3)]);
        assert_eq!(owned(&[(1, 4), (5, 9)]), [none(0, 1), none(4, 5), none(9, 10)]);
        assert_eq!(owned(&[(0, 11)]), [twice(10, 11)]);
        assert_eq!(owned(&[]), [none(0, 10)]);
    }

    #[test]
    fn a_map_that_was_changed_is_found() {
        let (mut story, main) = Story::new("python main.py", 100);
        story.cpu(main, 0, 60, "main work");
        story.cpu(main, 60, 100, "main rest");
        let correlated = story.correlated();
        assert_eq!(audit(&story.recording, &story.resolved, &correlated, &MapOptions::default()), []);
        let map = build(&story.recording, &story.resolved, &correlated, &MapOptions::default());
        let broken = |change: fn(&mut Map)| {
            let mut map = map.clone();
            change(&mut map);
            let (mut ids, mut found) = (Vec::new(), Vec::new());
            sums(&story.recording, &map, &mut found);
            let cpu = cpu(&correlated, map.wall);
            map.steps.iter().for_each(|step| of_step(&map, step, cpu, &mut ids, &mut found));
            found
        };
        assert_eq!(broken(|_| {}), []);
        let id = || map.steps[0].id.clone();
        let (owned, wall) = (Nanos(map.wall.0 + 1), map.wall);
        assert_eq!(broken(|map| map.steps[0].self_time = Nanos(1)), [Broken::Sum { owned, wall }, Broken::Parts(id())]);
        assert_eq!(broken(|map| map.steps[0].thread_cpu = Nanos(u64::MAX)), [Broken::Threads(id())]);
        assert_eq!(broken(|map| map.steps[0].children.reverse()), [Broken::Shape(id())]);
        assert_eq!(broken(|map| map.steps[0].service = 7), [Broken::Shape(id())]);
        assert_eq!(
            broken(|map| map.steps[0].wall = Nanos(map.wall.0 + 1)),
            [Broken::Longer(id()), Broken::Parts(id()), Broken::Threads(id())]
        );
    }
}
