//! Writes to files → checkpoints: the same file written anew again and again, by truncating it, from its beginning, or by
//! renaming a new one over it; and what that cost.
//!
//! A file that is added to grows by all that is written, so the two are told apart by size. A database writes its own
//! files anew all the time, and is no checkpoint. Files under names that vary are not recognised.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::suspicions::Facts,
    correlate::Cause,
    map::{Innermost, Map, Step, innermost},
    recording::{Event, FileId, FileIo, FileOperation, Nanos, ProcessId, Recording, StackId},
    resolve::Resolved,
};

/// Written so many times its own size: fewer may be a header that is mended.
const FEWEST: u64 = 3;
/// Calls closer together than this on average are no checkpoints, and in a storm of calls the size is not looked at each time.
const CLOSEST: Nanos = Nanos(1_000_000);
/// Files of databases: these know themselves what they do.
const DATABASES: [&str; 9] = [".db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal", ".mdb", ".ldb", ".lock"];
/// That are told, those written most first.
const MOST: usize = 5;

#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// As the program called it when it first opened it.
    pub path: Option<String>,
    /// At least.
    pub rewrites: u64,
    /// Written in all.
    pub bytes: u64,
    /// The largest that it was.
    pub size: u64,
    /// The project's function that writes it.
    pub function: Option<Innermost>,
    /// Waits for the disk in that function, over all threads.
    pub disk: Nanos,
    /// Time in that function, over all threads; None where the map has no step for it.
    pub took: Option<Nanos>,
}

/// Writes under one name.
#[derive(Default)]
struct Written {
    bytes: u64,
    calls: u64,
    processes: BTreeSet<ProcessId>,
    /// By file: bytes, first, last.
    files: BTreeMap<FileId, (u64, Nanos, Nanos)>,
    by_stack: BTreeMap<StackId, u64>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Path(&'a str),
    Unknown(FileId),
}

pub fn checkpoints(facts: &Facts<'_>) -> Vec<Checkpoint> {
    let Facts { recording, resolved, map, .. } = facts;
    let mut names: BTreeMap<Name<'_>, Written> = BTreeMap::new();
    for event in &recording.events {
        let Event::FileIo(io) = event else { continue };
        let Some(file) = io.file.filter(|_| io.operation == FileOperation::Write) else { continue };
        let Some(known) = recording.files.known.get(file.0 as usize) else { continue };
        let name = known.path.as_deref().map_or(Name::Unknown(file), Name::Path);
        names.entry(name).or_default().add(recording, file, io);
    }
    let again: Vec<(&Name<'_>, &Written, u64)> =
        names.iter().filter_map(|(name, written)| Some((name, written, written.rewrites(recording, name)?))).collect();
    if again.is_empty() {
        return vec![];
    }
    let functions = innermost(recording, resolved);
    let mut found: Vec<Checkpoint> = again
        .into_iter()
        .filter(|(_, written, _)| !written.is_of_database(resolved))
        .map(|(name, written, rewrites)| {
            let function = written.stack().and_then(|stack| functions.get(stack.0 as usize)?.clone());
            Checkpoint {
                path: match name {
                    Name::Path(path) => Some((*path).to_owned()),
                    Name::Unknown(_) => None,
                },
                rewrites,
                bytes: written.bytes,
                size: written.size(recording),
                disk: function.as_ref().map_or(Nanos::ZERO, |function| disk(facts, &functions, function)),
                took: function.as_ref().and_then(|function| took(map, function)),
                function,
            }
        })
        .collect();
    found.sort_by(|one, other| (other.rewrites, other.bytes, &one.path).cmp(&(one.rewrites, one.bytes, &other.path)));
    found.truncate(MOST);
    found
}

impl Written {
    fn add(&mut self, recording: &Recording, file: FileId, io: &FileIo) {
        self.bytes = self.bytes.saturating_add(io.bytes);
        self.calls = self.calls.saturating_add(io.calls);
        if let Some(task) = recording.tasks.get(io.task.0 as usize) {
            self.processes.insert(task.process);
        }
        let (bytes, first, last) = self.files.entry(file).or_insert((0, io.first, io.last));
        *bytes = bytes.saturating_add(io.bytes);
        *first = (*first).min(io.first);
        *last = (*last).max(io.last);
        if let Some(stack) = io.stack {
            *self.by_stack.entry(stack).or_default() += io.bytes;
        }
    }

    /// How often all of it was written, at least; None where it was not written anew.
    fn rewrites(&self, recording: &Recording, name: &Name<'_>) -> Option<u64> {
        let first = self.files.values().map(|(_, first, _)| *first).min()?;
        let last = self.files.values().map(|(_, _, last)| *last).max()?;
        if last.since(first).0 / self.calls.max(1) < CLOSEST.0 {
            return None;
        }
        if matches!(name, Name::Path(path) if DATABASES.iter().any(|end| path.ends_with(end))) {
            return None;
        }
        if self.files.len() > 1 && !self.follow_one_another(name) {
            return None;
        }
        let size = |file: &FileId| recording.files.known.get(file.0 as usize).map_or(0, |known| known.size.max(1));
        let times: u64 = self.files.iter().map(|(file, (bytes, ..))| bytes.checked_div(size(file)).unwrap_or(0)).sum();
        (times >= FEWEST).then_some(times)
    }

    /// Several files of one name: one after the other, not each in a directory of its own.
    fn follow_one_another(&self, name: &Name<'_>) -> bool {
        if matches!(name, Name::Path(path) if path.starts_with('/')) {
            return true;
        }
        // Two files whose numbers take turns: the one that is replaced leaves its number to the next.
        let one_process = self.processes.len() == 1;
        if one_process && self.files.len() == 2 {
            return true;
        }
        let mut spans: Vec<(Nanos, Nanos)> = self.files.values().map(|(_, first, last)| (*first, *last)).collect();
        spans.sort();
        one_process && spans.windows(2).all(|pair| pair[0].1 <= pair[1].0)
    }

    fn size(&self, recording: &Recording) -> u64 {
        let sizes = self.files.keys().filter_map(|file| recording.files.known.get(file.0 as usize));
        sizes.map(|known| known.size).max().unwrap_or(0)
    }

    /// Most was written from there.
    fn stack(&self) -> Option<StackId> {
        self.by_stack.iter().max_by_key(|(stack, bytes)| (**bytes, std::cmp::Reverse(**stack))).map(|(stack, _)| *stack)
    }

    fn is_of_database(&self, resolved: &Resolved) -> bool {
        let stack = self.stack().and_then(|stack| resolved.stacks.get(stack.0 as usize));
        let places = stack.into_iter().flatten().filter_map(|id| resolved.places.get(id.0 as usize));
        places.take(64).any(|place| place.function.starts_with("sqlite3_"))
    }
}

fn same(function: &Innermost, other: &Innermost) -> bool {
    (&function.function, &function.file) == (&other.function, &other.file)
}

fn disk(facts: &Facts<'_>, functions: &[Option<Innermost>], function: &Innermost) -> Nanos {
    let inside = |stack: StackId| {
        functions.get(stack.0 as usize).and_then(Option::as_ref).is_some_and(|other| same(function, other))
    };
    let waits = facts.correlated.waits.iter().filter(|wait| wait.cause == Cause::Disk);
    waits.filter(|wait| wait.stack.is_some_and(inside)).map(|wait| wait.on.since(wait.off)).sum()
}

/// Outermost steps of the function: those inside of it are a part of its time.
fn took(map: &Map, function: &Innermost) -> Option<Nanos> {
    fn add(steps: &[Step], function: &Innermost, sum: &mut Option<Nanos>) {
        for step in steps {
            let here = step.location.as_ref().is_some_and(|location| location.file == function.file);
            if here && step.function == function.function {
                *sum = Some(sum.unwrap_or(Nanos::ZERO).plus(step.thread_time));
            } else {
                add(&step.children, function, sum);
            }
        }
    }
    let mut sum = None;
    add(&map.steps, function, &mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::fixture::map,
        correlate::Correlated,
        recording::{KnownFile, Task, TaskId},
    };

    const MS: u64 = 1_000_000;

    /// Writes to files: (file, ms, bytes); files: (path, size).
    fn found(files: &[(&str, u64)], writes: &[(u32, u64, u64)]) -> Vec<(String, u64)> {
        let mut recording = Recording {
            tasks: vec![Task {
                tid: 1,
                process: ProcessId(0),
                maker: None,
                born: Nanos(0),
                died: None,
                comm: String::new(),
            }],
            ..Recording::default()
        };
        let known = |(path, size): &(&str, u64)| KnownFile {
            device: 1,
            inode: 1,
            path: Some((*path).to_owned()).filter(|path| !path.is_empty()),
            size: *size,
        };
        recording.files.known = files.iter().map(known).collect();
        let write = |(file, at, bytes): &(u32, u64, u64)| {
            Event::FileIo(FileIo {
                task: TaskId(0),
                operation: FileOperation::Write,
                first: Nanos(at * MS),
                last: Nanos(at * MS),
                calls: 1,
                bytes: *bytes,
                stack: None,
                file: Some(FileId(*file)),
            })
        };
        recording.events = writes.iter().map(write).collect();
        let (resolved, correlated, map) = (Resolved::default(), Correlated::default(), map());
        let facts = Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map: &map };
        checkpoints(&facts).into_iter().map(|one| (one.path.unwrap_or_default(), one.rewrites)).collect()
    }

    #[test]
    fn written_over_and_over() {
        let writes: Vec<(u32, u64, u64)> = (0..10).map(|n| (0, n * 50, 400)).collect();
        assert_eq!(found(&[("state.json", 400)], &writes), [("state.json".to_owned(), 10)]);
        assert_eq!(found(&[("", 400)], &writes), [(String::new(), 10)], "its name was not seen");
    }

    #[test]
    fn what_grows_is_a_log() {
        let writes: Vec<(u32, u64, u64)> = (0..10).map(|n| (0, n * 50, 400)).collect();
        assert_eq!(found(&[("app.log", 4000)], &writes), []);
    }

    #[test]
    fn renamed_over() {
        let writes: Vec<(u32, u64, u64)> = (0..5).map(|n| (n, u64::from(n) * 50, 400)).collect();
        assert_eq!(found(&[("/s/state.tmp", 400); 5], &writes), [("/s/state.tmp".to_owned(), 5)]);
        // Files of one name that are written at the same time lie in several directories.
        let mixed: Vec<(u32, u64, u64)> = (0..5).flat_map(|n| [(n, 100 + u64::from(n), 400), (n, 900, 400)]).collect();
        assert_eq!(found(&[("out.txt", 800); 5], &mixed), []);
        let turns: Vec<(u32, u64, u64)> = (0..8).map(|n| (n % 2, u64::from(n) * 50, 400)).collect();
        assert_eq!(found(&[("state.tmp", 400); 2], &turns), [("state.tmp".to_owned(), 8)]);
    }

    #[test]
    fn databases_and_storms_are_none() {
        let writes: Vec<(u32, u64, u64)> = (0..10).map(|n| (0, n * 50, 4096)).collect();
        assert_eq!(found(&[("app.db", 4096)], &writes), []);
        let storm: Vec<(u32, u64, u64)> = (0..1000).map(|n| (0, n / 10, 4096)).collect();
        assert_eq!(found(&[("x", 4096)], &storm), []);
    }
}
