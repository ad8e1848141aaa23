//! Waits on futexes → those for CPython's global interpreter lock, each with who had it.
//!
//! Half of these waits end by the interpreter's own 5 ms time-out and would look like sleeps; and a wake through this
//! lock hands over no work. The lock is a condition variable, everything else in CPython waits on semaphores. Its
//! functions are static (`take_gil`), so in stripped builds the condition variable itself, called straight from the
//! interpreter, is the mark.
//!
//! The lock says who has it when a thread goes to sleep, but for the moment between two: a thread that asked for it may
//! be asleep again only when it was let go and given to a third one. Then it is the next one's that anybody saw it with,
//! else that of the thread which ran most meanwhile.

use rustc_hash::FxHashMap;

use crate::{
    correlate::{Correlated, State, Wait, WaitId},
    recording::{Nanos, ProcessId, Recording, TaskId},
    resolve::{Language, Place, Resolved},
};

pub(super) struct InterpreterLock {
    /// By `StackId`.
    stacks: Vec<bool>,
    holders: FxHashMap<WaitId, TaskId>,
}

/// Of one process.
#[derive(Default)]
struct Seen {
    /// When somebody went to sleep, and who had the lock then; sorted.
    holders: Vec<(Nanos, TaskId)>,
    /// Who ever waited for it or had it; sorted.
    threads: Vec<TaskId>,
}

impl InterpreterLock {
    pub(super) fn new(recording: &Recording, correlated: &Correlated, resolved: &Resolved) -> Self {
        let mut found = Self { stacks: stacks(resolved), holders: FxHashMap::default() };
        let mut seen: FxHashMap<ProcessId, Seen> = FxHashMap::default();
        let process = |task: TaskId| recording.tasks.get(task.0 as usize).map(|task| task.process);
        let waits: Vec<(WaitId, &Wait)> = (0..)
            .map(WaitId)
            .zip(&correlated.waits)
            .filter(|(_, wait)| wait.woken > wait.off && found.is_waited_for(wait))
            .collect();
        for (_, wait) in &waits {
            let Some(seen) = process(wait.task).map(|process| seen.entry(process).or_default()) else { continue };
            seen.threads.push(wait.task);
            if let Some(holder) = wait.lock.and_then(|lock| lock.holder) {
                seen.holders.push((wait.off, holder));
                seen.threads.push(holder);
            }
        }
        for seen in seen.values_mut() {
            seen.holders.sort_unstable();
            seen.threads.sort_unstable();
            seen.threads.dedup();
        }
        for (id, wait) in waits {
            let unknown = wait.by.is_none() && wait.lock.is_none_or(|lock| lock.holder.is_none());
            if unknown
                && let Some(seen) = process(wait.task).and_then(|process| seen.get(&process))
                && let Some(holder) = seen.next(wait).or_else(|| seen.busiest(wait, correlated))
            {
                found.holders.insert(id, holder);
            }
        }
        found
    }

    pub(super) fn is_waited_for(&self, wait: &Wait) -> bool {
        wait.futex
            && (wait.lock.is_some_and(|lock| lock.interpreter)
                || wait.stack.is_some_and(|stack| self.stacks.get(stack.0 as usize).copied().unwrap_or(false)))
    }

    /// Where neither the lock nor a wake says it.
    pub(super) fn holder(&self, wait: WaitId) -> Option<TaskId> {
        self.holders.get(&wait).copied()
    }
}

impl Seen {
    fn next(&self, wait: &Wait) -> Option<TaskId> {
        let first = self.holders.partition_point(|(at, _)| *at < wait.off);
        let meanwhile = self.holders.get(first..)?.iter().take_while(|(at, _)| *at < wait.woken);
        meanwhile.map(|(_, holder)| *holder).find(|holder| *holder != wait.task)
    }

    /// At least half of the wait; preempted counts as running, because nobody else could.
    fn busiest(&self, wait: &Wait, correlated: &Correlated) -> Option<TaskId> {
        let others = self.threads.iter().filter(|thread| **thread != wait.task);
        let ran = others.map(|thread| (ran(*thread, wait, correlated), std::cmp::Reverse(*thread)));
        let (most, thread) = ran.max()?;
        (most.0 >= wait.woken.since(wait.off).0 / 2).then_some(thread.0)
    }
}

fn ran(thread: TaskId, wait: &Wait, correlated: &Correlated) -> Nanos {
    let timeline = correlated.timelines.get(thread.0 as usize).map_or(&[][..], |timeline| &timeline.0);
    let first = timeline.partition_point(|segment| segment.to <= wait.off);
    let meanwhile = timeline.iter().skip(first).take_while(|segment| segment.from < wait.woken);
    let runs = meanwhile.filter(|segment| match segment.state {
        State::Cpu { .. } => true,
        State::RunQueue(id) => correlated.wait(id).woken <= correlated.wait(id).off,
        State::Blocked(_) => false,
    });
    runs.map(|segment| segment.to.min(wait.woken).since(segment.from.max(wait.off))).sum()
}

/// By `StackId`.
fn stacks(resolved: &Resolved) -> Vec<bool> {
    resolved
        .stacks
        .iter()
        .map(|stack| {
            let mut condition = false;
            for place in stack.iter().filter_map(|id| resolved.places.get(id.0 as usize)) {
                match place.language {
                    Language::Kernel => {}
                    Language::Python => return condition,
                    Language::Jit => return false,
                    Language::Native if takes(&place.function) => return true,
                    Language::Native if place.function.contains("pthread_cond_") => condition = true,
                    Language::Native if !of_interpreter_or_libc(place) => return false,
                    Language::Native => {}
                }
            }
            false
        })
        .collect()
}

fn takes(function: &str) -> bool {
    matches!(
        function,
        "take_gil"
            | "PyEval_RestoreThread"
            | "PyEval_AcquireThread"
            | "PyEval_AcquireLock"
            | "PyGILState_Ensure"
            | "_PyThreadState_Attach"
            | "_PyEval_AcquireLock"
    )
}

fn of_interpreter_or_libc(place: &Place) -> bool {
    let file = place.module.as_deref().map_or("", |module| module.rsplit('/').next().unwrap_or(module));
    ["python", "libpython", "libc.", "libc-", "libpthread"].iter().any(|start| file.starts_with(start))
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::syscalls as call,
        map::{
            WaitCause,
            testing::{Ended, Story, ms},
        },
        recording::TaskId,
    };

    const LOCK: [u64; 3] = [0x504c, 137, 0];

    fn timed_out(story: &mut Story, task: TaskId, times: [u64; 2], stack: &str, holder: Option<TaskId>) {
        let ended = Ended::call(call::FUTEX).result(-110);
        let ended = holder.map_or(ended, |holder| ended.held(holder, true));
        story.block_with(task, times, &format!("{stack} pthread_cond_timedwait"), ended, LOCK);
    }

    /// Asked for while it was let go: nobody had it when the wait began, and the third thread got it.
    #[test]
    fn a_lock_between_two_holders_is_the_next_one_s() {
        let (mut story, main) = Story::new("python main.py", 300);
        let (first, next) = (story.thread(main, 0), story.thread(main, 0));
        story.cpu(main, 0, 100, "main crunch");
        timed_out(&mut story, main, [100, 200], "main crunch", None);
        story.cpu(main, 200, 300, "main crunch");
        story.cpu(first, 0, 110, "grind");
        timed_out(&mut story, first, [110, 200], "grind", Some(next));
        timed_out(&mut story, first, [200, 300], "grind", Some(main));
        story.cpu(next, 0, 300, "mill");
        let map = story.map();
        let holder = |function: &str| {
            let of = map.locks.iter().find(|lock| lock.waiter.as_ref().is_some_and(|side| side.function == function));
            of.and_then(|lock| lock.holder.as_ref()).map(|side| side.function.clone())
        };
        assert_eq!(holder("crunch").as_deref(), Some("mill"));
        let crunch = &map.steps[0].children[0];
        assert_eq!((crunch.function.as_str(), crunch.waits.of(WaitCause::Lock)), ("crunch", ms(100)));
        assert_eq!((crunch.children[0].function.as_str(), crunch.children[0].wall), ("mill", ms(100)));
    }

    #[test]
    fn where_the_lock_never_says_it_who_ran_meanwhile_had_it() {
        let (mut story, main) = Story::new("python main.py", 200);
        let (other, idle) = (story.thread(main, 0), story.thread(main, 0));
        story.cpu(main, 0, 100, "main crunch");
        timed_out(&mut story, main, [100, 200], "main crunch", None);
        timed_out(&mut story, other, [0, 100], "grind", None);
        story.cpu(other, 100, 200, "grind");
        timed_out(&mut story, idle, [0, 200], "other", None);
        let map = story.map();
        let pairs: Vec<(&str, &str, u64)> = map
            .locks
            .iter()
            .filter_map(|lock| {
                let (waiter, holder) = (lock.waiter.as_ref()?, lock.holder.as_ref()?);
                Some((waiter.function.as_str(), holder.function.as_str(), lock.waited.0 / ms(1).0))
            })
            .collect();
        assert!(pairs.contains(&("crunch", "grind", 100)) && pairs.contains(&("grind", "crunch", 100)), "{pairs:?}");
    }

    /// Everybody else slept: nobody is made up.
    #[test]
    fn nobody_that_ran_is_no_holder() {
        let (mut story, main) = Story::new("python main.py", 200);
        let other = story.thread(main, 0);
        story.cpu(main, 0, 100, "main crunch");
        timed_out(&mut story, main, [100, 200], "main crunch", None);
        story.block(other, 0, 200, "grind doze", Ended::call(call::NANOSLEEP).result(0));
        let locks = story.map().locks;
        assert_eq!(locks.len(), 1);
        assert!(locks[0].interpreter && locks[0].holder.is_none(), "{locks:?}");
    }
}
