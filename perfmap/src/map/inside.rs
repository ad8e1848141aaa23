//! Services without a function of the project (a database, a proxy) → the functions of their own program, so that what
//! they do for a caller is more than a name.
//!
//! Only native programs are looked into: of an interpreter, its own functions tell nothing about the script. What of a
//! deep stack is worth a step is decided where the tree is folded.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    points::Points,
    project::{Function, FunctionId, Project, function_name},
    services::Services,
    tree::NodeId,
    walk::Walk,
};
use crate::{
    recording::{Nanos, ProcessId, Recording, StackId, TaskId},
    resolve::{Language, Place, Resolved},
};

#[derive(Debug, Default)]
pub(super) struct Inside {
    /// By `TaskId`: its program's functions are shown.
    shown: Vec<bool>,
    /// By `StackId`, root first.
    stacks: Vec<Box<[FunctionId]>>,
    /// By `StackId`: a server waits for one of its own locks.
    locks: Vec<bool>,
}

impl Inside {
    /// Adds the programs' functions to the project's, which no stack of the project has.
    pub(super) fn new(
        recording: &Recording,
        resolved: &Resolved,
        project: &mut Project,
        services: &Services,
        points: &Points,
        has_project: &[bool],
    ) -> Self {
        let shown = shown(recording, resolved, services, points, has_project);
        let executables: BTreeSet<&str> = recording
            .processes
            .iter()
            .zip(&shown)
            .filter(|(_, shown)| **shown)
            .filter_map(|(process, _)| process.images.last())
            .map(|image| image.executable.as_str())
            .collect();
        let of_task = |task: &crate::recording::Task| shown.get(task.process.0 as usize).copied().unwrap_or(false);
        let shown = recording.tasks.iter().map(of_task).collect();
        if executables.is_empty() {
            return Self { shown, ..Self::default() };
        }
        let mut known: BTreeMap<(String, String), FunctionId> = BTreeMap::new();
        let of_place: Vec<Option<FunctionId>> = resolved
            .places
            .iter()
            .map(|place| {
                let module = place.module.as_deref().filter(|module| executables.contains(module))?;
                if place.language != Language::Native || place.unnamed.is_some() || place.function.is_empty() {
                    return None;
                }
                let (name, file) = (function_name(place), place.file.as_deref().unwrap_or(module).to_owned());
                Some(*known.entry((name, file)).or_insert_with_key(|(name, file)| {
                    let line = place.file.as_ref().and(place.first_line).unwrap_or(0);
                    project.functions.push(Function { name: name.clone(), file: file.clone(), line });
                    FunctionId(project.functions.len() as u32 - 1)
                }))
            })
            .collect();
        let stacks = resolved.stacks.iter().map(|stack| {
            let mut own: Vec<FunctionId> = Vec::new();
            for place in stack.iter().rev() {
                if let Some(Some(id)) = of_place.get(place.0 as usize)
                    && own.last() != Some(id)
                {
                    own.push(*id);
                }
            }
            // What it waits in says less than who waits.
            while own.len() > 1 && own.last().is_some_and(|id| waits(&project.functions[id.0 as usize].name)) {
                own.pop();
            }
            own.into_boxed_slice()
        });
        let stacks: Vec<Box<[FunctionId]>> = stacks.collect();
        let locks: Vec<bool> = resolved.places.iter().map(waits_for_lock).collect();
        let on_lock = |place: &crate::resolve::PlaceId| locks.get(place.0 as usize).copied().unwrap_or(false);
        let locks = resolved.stacks.iter().map(|stack| stack.iter().any(on_lock)).collect();
        Self { shown, stacks, locks }
    }

    /// The program's functions on the stack of a task whose inside is shown.
    pub(super) fn functions(&self, task: TaskId, stack: Option<StackId>) -> &[FunctionId] {
        let shown = self.shown.get(task.0 as usize).copied().unwrap_or(false);
        let stack = stack.filter(|_| shown).and_then(|stack| self.stacks.get(stack.0 as usize));
        stack.map_or(&[], |stack| stack)
    }

    /// A lock that only the server's names tell from a wait for something to do.
    pub(super) fn is_lock(&self, task: TaskId, stack: Option<StackId>) -> bool {
        let shown = self.shown.get(task.0 as usize).copied().unwrap_or(false);
        stack.is_some_and(|stack| shown && self.locks.get(stack.0 as usize).copied().unwrap_or(false))
    }
}

impl Walk<'_> {
    /// Where a stack goes below `base`: by the project's functions, or by the program's where those are shown.
    pub(super) fn place_own(&mut self, task: TaskId, base: NodeId, stack: Option<StackId>, at: Nanos) -> NodeId {
        let known = self.known();
        match known.inside.functions(task, stack) {
            [] => self.place(task, base, stack, at),
            functions => self.tree.inner(base, stack, functions, known.service(task, at)),
        }
    }
}

/// In which all waits of a server end: PostgreSQL's, MariaDB's, Redis'.
fn waits(function: &str) -> bool {
    let name = function.split_once('(').map_or(function, |(name, _)| name);
    matches!(
        name,
        "WaitEventSetWait" | "WaitLatch" | "WaitLatchOrSocket" | "PGSemaphoreLock" | "Interruptible_wait::wait"
    )
}

/// PostgreSQL's waits for rows, tables and transactions: in a poll that the holder ends by a signal.
fn waits_for_lock(place: &Place) -> bool {
    place.language == Language::Native && matches!(place.function.as_str(), "ProcSleep" | "WaitOnLock")
}

/// By `ProcessId`: it belongs to a service that is not the command's, shows no function of the project anywhere, and
/// runs no interpreter.
fn shown(
    recording: &Recording,
    resolved: &Resolved,
    services: &Services,
    points: &Points,
    has_project: &[bool],
) -> Vec<bool> {
    let mut opaque: BTreeSet<u32> = BTreeSet::from([0]);
    let service = |process: usize| services.index(ProcessId(process as u32));
    opaque.extend(has_project.iter().enumerate().filter(|(_, has)| **has).map(|(process, _)| service(process)));
    let interprets = |language: Language| match language {
        Language::Python | Language::Jit => true,
        Language::Native | Language::Kernel => false,
    };
    let interpreted: Vec<bool> = resolved.places.iter().map(|place| interprets(place.language)).collect();
    let interpreted: Vec<bool> = resolved
        .stacks
        .iter()
        .map(|stack| stack.iter().any(|place| interpreted.get(place.0 as usize).copied().unwrap_or(false)))
        .collect();
    for (task, _, stack) in points.all() {
        if interpreted.get(stack.0 as usize).copied().unwrap_or(false)
            && let Some(task) = recording.tasks.get(task.0 as usize)
        {
            opaque.insert(service(task.process.0 as usize));
        }
    }
    let processes = recording.processes.iter().enumerate();
    processes
        .map(|(index, process)| {
            let named = process.images.last().is_some_and(|image| !image.executable.is_empty());
            named && !opaque.contains(&service(index))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::{Protocol, syscalls as call},
        map::{
            testing::{Ended, Story},
            tests::check,
        },
        recording::{OnObject, TaskId},
    };

    /// `main` asks a database from 100 on, and it answers at 500. The deep stack is the database's program's.
    fn asked(inside: impl Fn(&mut Story, TaskId, TaskId)) -> crate::map::Map {
        let (mut story, main) = Story::new("python main.py", 600);
        let server = story.process(Some(main), 0, "server -D /data");
        story.runs(server, "server");
        story.dies(server, 600);
        let database = story.peer("127.0.0.1:5432", Some(server));
        let socket = OnObject::Socket(story.socket(main));
        story.cpu(main, 0, 100, "main");
        let ended = Ended::call(call::RECVFROM).on(socket).by(server, call::SENDTO);
        story.block(main, 100, 500, "main load lib.recv", ended);
        inside(&mut story, server, main);
        story.trip(main, database, 100, 501, "select ?", "main load lib.send");
        story.was_query(Protocol::Postgres);
        story.cpu(main, 500, 600, "main");
        story.map()
    }

    #[test]
    fn a_deep_stack_is_shown_where_it_parts() {
        let map = asked(|story, server, _| {
            story.cpu(server, 100, 300, "server:main server:loop server:run server:plan libc:copy");
            story.cpu(server, 300, 500, "server:main server:loop server:run server:scan server:next");
        });
        check(
            &map,
            "1 main @main FunctionCall wall 600 self 200 cpu 200 db 400
          1.1 load @main DbQuery wall 400 self 0 db 400 → server select ? ×1
            1.1.1 server @server FunctionCall wall 400 self 0 cpu 400
              1.1.1.1 run @server FunctionCall wall 400 self 0 cpu 400
                1.1.1.1.1 next @server FunctionCall wall 200 self 200 cpu 200
                1.1.1.1.2 plan @server FunctionCall wall 200 self 200 cpu 200
        (outside) 0",
        );
    }

    #[test]
    fn a_servers_sleep_and_its_disk_are_its_own() {
        let map = asked(|story, server, _| {
            let slept = Ended::call(call::EPOLL_WAIT).result(0);
            story.block(
                server,
                100,
                400,
                "server:main server:pg_sleep server:WaitLatch server:WaitEventSetWait",
                slept,
            );
            story.cpu(server, 400, 500, "server:main server:next");
        });
        check(
            &map,
            "1 main @main FunctionCall wall 600 self 200 cpu 200 db 400
          1.1 load @main DbQuery wall 400 self 0 db 400 → server select ? ×1
            1.1.1 server @server FunctionCall wall 400 self 0 cpu 100 sleep 300
              1.1.1.1 main @server FunctionCall wall 400 self 0 cpu 100 sleep 300
                1.1.1.1.1 pg_sleep @server Sleep wall 300 self 300 sleep 300
                1.1.1.1.2 next @server FunctionCall wall 100 self 100 cpu 100
        (outside) 0",
        );
    }

    /// Another session's process lets the row go; what its client did meanwhile is what was waited for.
    #[test]
    fn a_row_that_another_session_holds() {
        let map = asked(|story, server, main| {
            let (holder, client) = (story.process(Some(server), 0, "server -D /data"), story.thread(main, 0));
            story.runs(holder, "server");
            let forked = story.recording.task(holder).process.0 as usize;
            story.recording.processes[forked].images.truncate(1);
            story.dies(holder, 600);
            story.dies(client, 600);
            let end = story.socket(holder);
            let let_go = Ended::call(call::EPOLL_WAIT).by(holder, call::KILL);
            story.block(server, 100, 450, "server:main server:ProcSleep server:WaitLatch", let_go);
            story.cpu(server, 450, 500, "server:main server:next");
            let told = Ended::call(call::RECVFROM).on(OnObject::Socket(end)).by(client, call::SENDTO);
            story.block(holder, 0, 440, "server:main server:secure_read", told);
            story.cpu(holder, 440, 600, "server:main server:commit");
            story.block(client, 0, 440, "hold time.sleep", Ended::call(call::CLOCK_NANOSLEEP));
            story.cpu(client, 440, 600, "hold");
        });
        check(
            &map,
            "1 main @main FunctionCall wall 600 self 200 cpu 200 db 400
          1.1 load @main DbQuery wall 400 self 0 db 400 → server select ? ×1
            1.1.1 server @server FunctionCall wall 400 self 0 cpu 50 lock 350
              1.1.1.1 main @server FunctionCall wall 400 self 0 cpu 50 lock 350
                1.1.1.1.1 ProcSleep @server FunctionCall wall 350 self 0 lock 350
                  1.1.1.1.1.1 hold @main Sleep wall 340 self 340 sleep 340
                  1.1.1.1.1.2 commit @server FunctionCall wall 10 self 10 cpu 10
                1.1.1.1.2 next @server FunctionCall wall 50 self 50 cpu 50
        (outside) 0",
        );
    }
}
