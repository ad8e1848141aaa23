//! A process that another one started → who hands out the jobs that it is one of: its parent, as the program that this was
//! then; of a make that was run by a make, the first one, for they have their places in common.

use std::collections::BTreeSet;

use crate::recording::{Nanos, Process, ProcessId, Recording};

/// Their recipes run them again, and all take their turns at one set of places: a protocol of theirs, so their names decide. Any
/// other that keeps so many going (ninja, xargs, parallel) is known by its children alone.
const MAKES: [&str; 2] = ["make", "gmake"];
const MAX_DEPTH: usize = 16;

pub(super) struct Managers<'r> {
    recording: &'r Recording,
    /// Makes, and shells that run one.
    hand_out: BTreeSet<ProcessId>,
}

impl<'r> Managers<'r> {
    pub(super) fn new(recording: &'r Recording) -> Managers<'r> {
        let mut hand_out = BTreeSet::new();
        for (index, process) in recording.processes.iter().enumerate() {
            if process.images.iter().skip(1).any(|image| MAKES.contains(&image.comm.as_str())) {
                hand_out.insert(ProcessId(index as u32));
                hand_out.extend(process.parent);
            }
        }
        Managers { recording, hand_out }
    }

    /// With the number of its image. None: the process hands out jobs itself, which are counted as its own.
    pub(super) fn of(&self, id: ProcessId) -> Option<(ProcessId, usize)> {
        let process = self.process(id)?;
        let (mut now, mut at) = (process.parent?, process.born);
        if self.is_make(now, at) {
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

    fn is_make(&self, id: ProcessId, at: Nanos) -> bool {
        self.process(id).and_then(|process| image(process, at)).is_some_and(|(_, name)| MAKES.contains(&name))
    }

    /// The make that ran this one; a recipe's shell may lie between them.
    fn above(&self, id: ProcessId) -> Option<(ProcessId, Nanos)> {
        let mut below = self.process(id)?;
        for _ in 0..2 {
            let parent = below.parent?;
            if self.is_make(parent, below.born) {
                return Some((parent, below.born));
            }
            below = self.process(parent)?;
        }
        None
    }
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
}
