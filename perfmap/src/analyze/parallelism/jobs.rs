//! A process that another one started → who hands out the jobs that it is one of: its parent, as the program that this was
//! then; of one that hands out jobs and was run by another that does, the first one, for theirs are under way together.

use std::collections::{BTreeMap, BTreeSet};

use crate::recording::{Image, Nanos, Process, ProcessId, Recording};

/// Their recipes run them again, and all take their turns at one set of places: a protocol of theirs, so their names decide.
const MAKES: [&str; 2] = ["make", "gmake"];
/// They run so many jobs at a time as they are told, or one after the other. Cargo and ninja know make's protocol.
const RUNNERS: [&str; 6] = ["cargo", "ninja", "samu", "xargs", "parallel", "rush"];
const MAX_DEPTH: usize = 16;

pub(super) struct Managers<'r> {
    recording: &'r Recording,
    /// Makes, others that had two jobs at a time, and shells that run one of them.
    hand_out: BTreeSet<ProcessId>,
}

impl<'r> Managers<'r> {
    pub(super) fn new(recording: &'r Recording) -> Managers<'r> {
        let mut jobs: BTreeMap<ProcessId, Vec<(Nanos, Nanos)>> = BTreeMap::new();
        for process in &recording.processes {
            let died = process.died.unwrap_or(Nanos(u64::MAX));
            if let Some(parent) = process.parent {
                jobs.entry(parent).or_default().push((process.born, died));
            }
        }
        let mut hand_out = BTreeSet::new();
        for (index, process) in recording.processes.iter().enumerate() {
            let id = ProcessId(index as u32);
            let runs = |image: &Image| {
                let name = image.comm.as_str();
                let several = || jobs.get(&id).is_some_and(|jobs| two_at_a_time(jobs, image.at));
                MAKES.contains(&name) || RUNNERS.contains(&name) && several()
            };
            if process.images.iter().skip(1).any(runs) {
                hand_out.insert(id);
                hand_out.extend(process.parent);
            }
        }
        Managers { recording, hand_out }
    }

    /// With the number of its image. None: the process hands out jobs itself, which are counted as its own.
    pub(super) fn of(&self, id: ProcessId) -> Option<(ProcessId, usize)> {
        let process = self.process(id)?;
        let (mut now, mut at) = (process.parent?, process.born);
        if self.hands_out(now, at) {
            if self.hand_out.contains(&id) {
                return None;
            }
            for _ in 0..MAX_DEPTH {
                let Some((next, then)) = self.above(now) else { break };
                (now, at) = (next, then);
            }
        }
        let (number, _) = image(self.process(now)?, at)?;
        Some((now, number))
    }

    fn process(&self, id: ProcessId) -> Option<&'r Process> {
        self.recording.processes.get(id.0 as usize)
    }

    fn hands_out(&self, id: ProcessId, at: Nanos) -> bool {
        let name = self.process(id).and_then(|process| image(process, at));
        name.is_some_and(|(_, name)| MAKES.contains(&name) || RUNNERS.contains(&name) && self.hand_out.contains(&id))
    }

    /// Who runs jobs and ran this one; a recipe's shell may lie between them.
    fn above(&self, id: ProcessId) -> Option<(ProcessId, Nanos)> {
        let mut below = self.process(id)?;
        for _ in 0..2 {
            let parent = below.parent?;
            if self.hands_out(parent, below.born) {
                return Some((parent, below.born));
            }
            below = self.process(parent)?;
        }
        None
    }
}

/// `jobs`: when each began and ended, in any order.
fn two_at_a_time(jobs: &[(Nanos, Nanos)], from: Nanos) -> bool {
    let mut jobs: Vec<(Nanos, Nanos)> = jobs.iter().filter(|(born, _)| *born >= from).copied().collect();
    jobs.sort_unstable();
    let mut until = Nanos::ZERO;
    jobs.iter().any(|(born, died)| {
        let beside = *born < until;
        until = until.max(*died);
        beside
    })
}

/// What it was at that time.
fn image(process: &Process, at: Nanos) -> Option<(usize, &str)> {
    let (number, image) = process.images.iter().enumerate().rfind(|(number, image)| *number == 0 || image.at <= at)?;
    Some((number, image.comm.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::testing::Story;

    /// A script runs `dirname`, then becomes a make, which runs a job and, by a shell, a make with two jobs.
    #[test]
    fn jobs_of_makes_in_makes_are_the_first_one_s() {
        let (mut story, main) = Story::new("sh run", 1_000);
        let before = story.process(Some(main), 10, "dirname");
        let job = story.process(Some(main), 30, "cc");
        let shell = story.process(Some(main), 40, "sh");
        let make = story.process(Some(shell), 50, "make");
        let deep = [story.process(Some(make), 60, "cc"), story.process(Some(make), 70, "cc")];
        let process = |task: crate::recording::TaskId| story.recording.task(task).process;
        let [main, before, job, shell, make] = [main, before, job, shell, make].map(process);
        let deep = deep.map(process);
        let mut recording = story.recording.clone();
        let mut become_make = |id: ProcessId, at: u64| {
            let process = &mut recording.processes[id.0 as usize];
            let mut next = process.images.last().expect("an image").clone();
            (next.at, next.comm) = (Nanos(at * 1_000_000), "make".into());
            process.images.push(next);
        };
        become_make(main, 20);
        become_make(make, 51);
        let managers = Managers::new(&recording);
        let script = managers.of(before).expect("the script");
        let first = managers.of(job).expect("the first make");
        assert!(script.0 == main && first.0 == main && first.1 > script.1, "{script:?} {first:?}");
        assert_eq!(deep.map(|id| managers.of(id)), [Some(first), Some(first)]);
        assert_eq!(managers.of(shell), None, "it runs the second make");
    }

    /// An xargs runs shells that run an xargs each: one that has two jobs at a time, and one that has them one after the other.
    #[test]
    fn runners_that_a_runner_started_hand_out_jobs_where_several_run_at_a_time() {
        let (mut story, main) = Story::new("xargs", 1_000);
        let shells = [story.process(Some(main), 10, "sh"), story.process(Some(main), 10, "sh")];
        let inner = shells.map(|shell| story.process(Some(shell), 20, "xargs"));
        let beside = [story.process(Some(inner[0]), 30, "convert"), story.process(Some(inner[0]), 31, "convert")];
        let first = story.process(Some(inner[1]), 30, "grep");
        let next = story.process(Some(inner[1]), 50, "grep");
        let ended = story.recording.task(first).process;
        let mut recording = story.recording.clone();
        recording.processes[ended.0 as usize].died = Some(Nanos(40_000_000));
        for process in &mut recording.processes {
            let mut own = process.images.last().expect("an image").clone();
            own.comm = own.arguments.first().expect("a name").clone();
            process.images.push(own);
        }
        let process = |task: crate::recording::TaskId| story.recording.task(task).process;
        let managers = Managers::new(&recording);
        let manager = |task| managers.of(process(task)).map(|(id, _)| id);
        let outer = Some(process(main));
        assert_eq!(beside.map(manager), [outer, outer]);
        assert_eq!(manager(shells[0]), None, "it runs one that hands out jobs");
        assert_eq!(manager(shells[1]), outer, "a job of the outer one");
        assert_eq!([first, next].map(manager), [Some(process(inner[1])); 2], "its own, one after the other");
    }
}
