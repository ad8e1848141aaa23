//! Waits for locks → per lock who waited, who held it meanwhile, and for how long.
//!
//! The holder is who owned the lock when the wait began, where the lock says so, and who released it, where that woke a
//! waiter: a wait that others' wakes fall into is cut there, each part its holder's. How long a lock was held before
//! anybody wanted it leaves no trace; what is counted is the time in which it was held while somebody waited.

use std::collections::BTreeMap;

use super::{
    known::Known,
    lock_place,
    model::{Location, Lock, LockSide},
    project::FunctionId,
};
use crate::{
    correlate::{Cause, LockWait, State, Wait, WaitId},
    recording::{Nanos, ProcessId, StackId, TaskId, covered},
    resolve::{Language, Place, Resolved},
};

/// So many are named, those waited for longest.
const MOST: usize = 20;
/// Shorter sums are not worth a line.
const LEAST: Nanos = Nanos(1_000_000);
/// Frames of one stack, from the leaf.
const FRAMES: usize = 40;

const UNSEEN: LockWait = LockWait { address: None, holder: None, interpreter: false };

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LockId {
    process: ProcessId,
    interpreter: bool,
    address: Option<u64>,
}

/// A function of the project, or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Own(FunctionId),
    Other(String),
    Unknown,
}

/// Who held the lock in a part of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    from: Nanos,
    to: Nanos,
    holder: Option<TaskId>,
}

#[derive(Debug, Default)]
struct Sums {
    waits: u64,
    which: Vec<WaitId>,
    waited: Nanos,
    held: Vec<(Nanos, Nanos)>,
    address: Option<u64>,
    waiting: BTreeMap<StackId, Nanos>,
    holding: BTreeMap<StackId, Nanos>,
}

pub(super) fn locks(known: &Known<'_>, resolved: &Resolved) -> Vec<Lock> {
    let takes = lock_place::stacks(resolved);
    let taking = |wait: &Wait| {
        wait.stack.is_some_and(|stack| takes.get(stack.0 as usize).copied().unwrap_or(false))
            || known.loops.is_for_mutex(wait.stack)
    };
    let mut waits: BTreeMap<LockId, Vec<(&Wait, LockWait)>> = BTreeMap::new();
    let mut ids: BTreeMap<LockId, Vec<WaitId>> = BTreeMap::new();
    for (index, wait) in known.correlated.waits.iter().enumerate() {
        // A goroutine sleeps in no call of the kernel's: which mutex it was is not seen.
        let unseen = || known.loops.is_for_mutex(wait.stack).then_some(UNSEEN);
        let (Some(mut lock), Some(process)) = (wait.lock.or_else(unseen), known.process(wait.task)) else { continue };
        let interpreter = known.interpreter_lock.is_waited_for(wait);
        lock.holder = lock.holder.or_else(|| known.interpreter_lock.holder(WaitId(index as u32)));
        if wait.woken > wait.off && (interpreter || lock.holder.is_some() || taking(wait)) {
            let address = lock.address.filter(|_| !interpreter);
            let id = LockId { process, interpreter, address };
            waits.entry(id).or_default().push((wait, lock));
            ids.entry(id).or_default().push(WaitId(index as u32));
        }
    }
    let mut found: Vec<Lock> = Vec::new();
    for (id, of_lock) in &waits {
        let mut sums: BTreeMap<(At, At), Sums> = BTreeMap::new();
        let releases = releases(*id, of_lock);
        for (index, (wait, lock)) in of_lock.iter().enumerate() {
            let which = ids.get(id).and_then(|ids| ids.get(index)).copied();
            let waiter = at(known, resolved, wait.stack);
            let turns = turns(wait, lock, &releases);
            for (index, turn) in turns.iter().enumerate() {
                let holding = holding(known, *turn);
                let most = holding.iter().max_by_key(|(stack, length)| (**length, std::cmp::Reverse(**stack)));
                let holder = at(known, resolved, most.map(|(stack, _)| *stack));
                let sum = sums.entry((waiter.clone(), holder)).or_default();
                sum.waits += u64::from(index + 1 == turns.len());
                if sum.which.last().copied() != which {
                    sum.which.extend(which);
                }
                sum.waited = sum.waited.plus(turn.to.since(turn.from));
                sum.held.push((turn.from, turn.to));
                sum.address = sum.address.or(lock.address.filter(|_| lock.interpreter || !id.interpreter));
                if let Some(stack) = wait.stack {
                    add(&mut sum.waiting, stack, turn.to.since(turn.from));
                }
                for (stack, length) in holding {
                    add(&mut sum.holding, stack, length);
                }
            }
        }
        let service = of_lock.first().map_or(0, |(wait, _)| known.service(wait.task, wait.off)) as usize;
        found.extend(sums.into_iter().filter(|(_, sums)| sums.waited >= LEAST).map(|((waiter, holder), sums)| Lock {
            address: sums.address,
            interpreter: id.interpreter,
            service,
            waiter: side(known, resolved, waiter, &sums.waiting),
            holder: side(known, resolved, holder, &sums.holding),
            waits: sums.waits,
            which: sums.which,
            waited: sums.waited,
            held: covered(sums.held.iter().copied()),
        }));
    }
    found.sort_by(|a, b| {
        let side = |side: &Option<LockSide>| side.as_ref().map(|side| (side.function.clone(), side.location.clone()));
        b.waited
            .cmp(&a.waited)
            .then_with(|| (a.service, a.address).cmp(&(b.service, b.address)))
            .then_with(|| (side(&a.waiter), side(&a.holder)).cmp(&(side(&b.waiter), side(&b.holder))))
    });
    found.truncate(MOST);
    found
}

fn add(to: &mut BTreeMap<StackId, Nanos>, stack: StackId, length: Nanos) {
    let sum = to.entry(stack).or_default();
    *sum = sum.plus(length);
}

/// When somebody let go of the lock and woke a waiter. Wakes through the interpreter's lock say less than it does.
fn releases(id: LockId, waits: &[(&Wait, LockWait)]) -> Vec<(Nanos, TaskId)> {
    let believed = |wait: &Wait| (wait.cause == Cause::Lock).then_some(wait.by).flatten();
    let mut found: Vec<(Nanos, TaskId)> = match id.interpreter || id.address.is_none() {
        true => Vec::new(),
        false => waits.iter().filter_map(|(wait, _)| Some((wait.woken, believed(wait)?))).collect(),
    };
    found.sort_unstable();
    found
}

fn turns(wait: &Wait, lock: &LockWait, releases: &[(Nanos, TaskId)]) -> Vec<Turn> {
    let mut found = Vec::new();
    let mut from = wait.off;
    let first = releases.partition_point(|(at, _)| *at <= wait.off);
    for (at, by) in releases.get(first..).unwrap_or_default().iter().take_while(|(at, _)| *at < wait.woken) {
        if *at > from && *by != wait.task {
            found.push(Turn { from, to: *at, holder: Some(*by) });
            from = *at;
        }
    }
    // Whoever owned it at the beginning is known better than who woke the waiter at the end, if nothing lies between.
    let last = if found.is_empty() { lock.holder.or(wait.by) } else { wait.by.or(lock.holder) };
    found.push(Turn { from, to: wait.woken, holder: last.filter(|holder| *holder != wait.task) });
    found
}

/// What the holder did meanwhile, by stack: also where it slept, or had lost its CPU.
fn holding(known: &Known<'_>, turn: Turn) -> BTreeMap<StackId, Nanos> {
    let mut found = BTreeMap::new();
    let Some(holder) = turn.holder else { return found };
    let timeline = known.correlated.timelines.get(holder.0 as usize).map_or(&[][..], |timeline| &timeline.0);
    let first = timeline.partition_point(|segment| segment.to <= turn.from);
    for segment in timeline.iter().skip(first).take_while(|segment| segment.from < turn.to) {
        let (from, to) = (segment.from.max(turn.from), segment.to.min(turn.to));
        match segment.state {
            State::Cpu { .. } => {
                for (from, to, stack) in known.points.pieces(holder, from, to) {
                    if let Some(stack) = stack {
                        add(&mut found, stack, to.since(from));
                    }
                }
            }
            State::RunQueue(wait) | State::Blocked(wait) => {
                if let Some(stack) = known.stack_of(wait, from) {
                    add(&mut found, stack, to.since(from));
                }
            }
        }
    }
    found
}

fn at(known: &Known<'_>, resolved: &Resolved, stack: Option<StackId>) -> At {
    let Some(stack) = stack else { return At::Unknown };
    if let Some(own) = known.project.stack(Some(stack)).last() {
        return At::Own(*own);
    }
    let places = || places(resolved, stack);
    let python = places().find(|place| matches!(place.language, Language::Python | Language::Jit));
    let named = |place: &&Place| place.language == Language::Native && place.unnamed.is_none();
    // Who called the C library says more than what the library did for it.
    let caller = || places().filter(named).find(|place| !is_c_library(place));
    match python.or_else(caller).or_else(|| places().find(named)) {
        Some(place) => At::Other(place.function.clone()),
        None => At::Unknown,
    }
}

/// The function that a lock's side would be called by.
pub(super) fn name(known: &Known<'_>, resolved: &Resolved, stack: Option<StackId>) -> Option<String> {
    match at(known, resolved, stack) {
        At::Own(id) => Some(known.project.function(id).name.clone()),
        At::Other(name) => Some(name),
        At::Unknown => None,
    }
}

fn is_c_library(place: &Place) -> bool {
    let file = place.module.as_deref().map_or("", |module| module.rsplit('/').next().unwrap_or(module));
    ["libc.", "libc-", "libpthread", "ld-linux", "ld-musl"].iter().any(|start| file.starts_with(start))
}

/// Leaf first.
fn places(resolved: &Resolved, stack: StackId) -> impl Iterator<Item = &Place> {
    let of_stack = resolved.stacks.get(stack.0 as usize).map_or(&[][..], |stack| stack);
    of_stack.iter().filter_map(|id| resolved.places.get(id.0 as usize))
}

fn side(known: &Known<'_>, resolved: &Resolved, at: At, stacks: &BTreeMap<StackId, Nanos>) -> Option<LockSide> {
    let (function, location): (String, Option<Location>) = match at {
        At::Own(id) => {
            let function = known.project.function(id);
            (function.name.clone(), function.location())
        }
        At::Other(name) => (name, None),
        At::Unknown => return None,
    };
    let longest = stacks.iter().max_by_key(|(stack, length)| (**length, std::cmp::Reverse(**stack)));
    let mut stack: Vec<String> = longest
        .iter()
        .flat_map(|(stack, _)| places(resolved, **stack))
        .filter(|place| place.language != Language::Kernel)
        .take(FRAMES)
        .map(|place| place.function.clone())
        .collect();
    stack.reverse();
    Some(LockSide { function, location, stack })
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::syscalls as call,
        map::{
            Lock,
            testing::{Ended, Story, ms},
        },
        recording::TaskId,
    };

    const LOCK: [u64; 3] = [0x4000, 0, 2];

    fn waits(story: &mut Story, task: TaskId, times: [u64; 2], stack: &str, ended: Ended) {
        story.block_with(task, times, stack, ended, LOCK);
    }

    /// waiter, holder, address, waits, waited and held in ms
    fn told(locks: &[Lock]) -> Vec<(String, String, Option<u64>, u64, u64, u64)> {
        let name = |side: &Option<crate::map::LockSide>| side.as_ref().map_or("?".into(), |side| side.function.clone());
        let row = |lock: &Lock| {
            let [waited, held] = [lock.waited, lock.held].map(|length| length.0 / ms(1).0);
            (name(&lock.waiter), name(&lock.holder), lock.address, lock.waits, waited, held)
        };
        locks.iter().map(row).collect()
    }

    fn row(
        waiter: &str,
        holder: &str,
        waits: u64,
        waited: u64,
        held: u64,
    ) -> (String, String, Option<u64>, u64, u64, u64) {
        (waiter.into(), holder.into(), Some(LOCK[0]), waits, waited, held)
    }

    #[test]
    fn the_holder_is_named_with_what_it_did_meanwhile() {
        let (mut story, main) = Story::new("app", 400);
        let holder = story.thread(main, 0);
        let by = Ended::call(call::FUTEX).by(holder, call::FUTEX).held(holder, false);
        story.cpu(main, 0, 100, "main");
        waits(&mut story, main, [100, 300], "main want pthread_mutex_lock", by);
        story.cpu(main, 300, 400, "main");
        story.cpu(holder, 0, 120, "keep prepare");
        story.cpu(holder, 120, 300, "keep write_it");
        story.cpu(holder, 300, 400, "keep rest");
        let locks = story.map().locks;
        assert_eq!(told(&locks), [row("want", "write_it", 1, 200, 200)]);
        let holder = locks[0].holder.as_ref().unwrap();
        assert_eq!(holder.stack, ["keep", "write_it"]);
        assert!(holder.location.is_some());
        assert_eq!(locks[0].waiter.as_ref().unwrap().stack, ["main", "want", "pthread_mutex_lock"]);
    }

    /// It sleeps with the lock, and is woken to no CPU: no sample of it falls into the wait.
    #[test]
    fn a_holder_that_is_not_on_a_cpu_is_named() {
        let (mut story, main) = Story::new("app", 300);
        let holder = story.thread(main, 0);
        let by = Ended::call(call::FUTEX).by(holder, call::FUTEX).held(holder, false);
        story.cpu(main, 0, 100, "main");
        waits(&mut story, main, [100, 200], "main want pthread_mutex_lock", by);
        story.cpu(main, 200, 300, "main");
        story.cpu(holder, 0, 50, "keep prepare");
        story.block(holder, 50, 250, "keep doze", Ended::call(call::NANOSLEEP).result(0));
        story.cpu(holder, 250, 300, "rest");
        let locks = story.map().locks;
        assert_eq!(told(&locks), [row("want", "doze", 1, 100, 100)]);
        assert_eq!(locks[0].holder.as_ref().unwrap().stack, ["keep", "doze"]);
    }

    /// Three threads take turns of 100 ms: the last one's wait is two holders'.
    #[test]
    fn a_wait_through_several_holders_is_cut_where_they_let_go() {
        let (mut story, main) = Story::new("app", 300);
        let threads = [main, story.thread(main, 0), story.thread(main, 0)];
        for (turn, (thread, name)) in threads.into_iter().zip(["first", "second", "third"]).enumerate() {
            let begins = turn as u64 * 100;
            if let Some(before) = turn.checked_sub(1).map(|before| threads[before]) {
                let by = Ended::call(call::FUTEX).by(before, call::FUTEX).held(main, false);
                waits(&mut story, thread, [0, begins], &format!("{name} pthread_mutex_lock"), by);
            }
            story.cpu(thread, begins, begins + 100, name);
        }
        let expected = [
            row("second", "first", 1, 100, 100),
            row("third", "first", 0, 100, 100),
            row("third", "second", 1, 100, 100),
        ];
        assert_eq!(told(&story.map().locks), expected);
    }

    /// In no call of the kernel's, whose address would tell the mutex; a wait for a group is none for a lock.
    #[test]
    fn a_goroutine_waits_for_a_mutex() {
        let (mut story, main) = Story::new("app", 200);
        story.cpu(main, 0, 200, "main");
        for (from, leaf) in [(0, "go:sync.(*Mutex).lockSlow"), (0, "go:sync.(*WaitGroup).Wait")] {
            let waiter = story.thread(main, 0);
            story.block(waiter, from, 100, &format!("want {leaf}"), Ended::call(u32::MAX));
        }
        assert_eq!(told(&story.map().locks), [("want".into(), "?".into(), None, 1, 100, 100)]);
    }

    #[test]
    fn waiters_add_up_and_the_time_it_was_held_does_not() {
        let (mut story, main) = Story::new("app", 200);
        story.cpu(main, 0, 200, "keep");
        for _ in 0..3 {
            let waiter = story.thread(main, 0);
            let by = Ended::call(call::FUTEX).by(main, call::FUTEX).held(main, false);
            waits(&mut story, waiter, [0, 100], "want pthread_mutex_lock", by);
        }
        assert_eq!(told(&story.map().locks), [row("want", "keep", 3, 300, 100)]);
    }

    #[test]
    fn a_join_is_no_lock() {
        let (mut story, main) = Story::new("app", 200);
        let worker = story.thread(main, 0);
        story.cpu(main, 0, 200, "main");
        let by = Ended::call(call::FUTEX).by(main, call::FUTEX);
        waits(&mut story, worker, [0, 100], "finish pthread_join", by);
        assert_eq!(told(&story.map().locks), []);
    }

    /// Ended by its time-out and woken by nobody: it is the holder's all the same.
    #[test]
    fn the_interpreter_s_lock_is_its_holder_s() {
        let (mut story, main) = Story::new("python main.py", 200);
        let other = story.thread(main, 0);
        let held = Ended::call(call::FUTEX).result(-110).held(other, true);
        story.cpu(main, 0, 100, "main crunch");
        story.block_with(main, [100, 200], "main crunch pthread_cond_timedwait", held, [0x504c, 137, 0]);
        story.cpu(other, 0, 200, "grind");
        let map = story.map();
        let locks = told(&map.locks);
        assert_eq!(locks, [("crunch".into(), "grind".into(), Some(0x5000), 1, 100, 100)]);
        let crunch = &map.steps[0].children[0];
        assert_eq!((crunch.function.as_str(), crunch.wall), ("crunch", ms(200)));
        assert_eq!(crunch.waits.of(crate::map::WaitCause::Lock), ms(100));
        assert_eq!((crunch.children[0].function.as_str(), crunch.children[0].wall), ("grind", ms(100)));
    }
}
