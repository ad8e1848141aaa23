//! Fork, exec, exit and rename records → the recording's processes and tasks, whose ids survive the reuse of pids.

use std::collections::HashMap;

use perfmap_common as wire;

use super::process::Seen;
use crate::recording::{Ending, Image, Nanos, Process, ProcessId, SurroundingsId, Task, TaskId};

#[derive(Debug, Default)]
pub struct Tree {
    pub processes: Vec<Process>,
    pub tasks: Vec<Task>,
    /// Processes that do not belong to the command; sorted.
    pub outside: Vec<ProcessId>,
    /// CPU time that adopted threads had used before, by tid.
    used_before: HashMap<u32, u64>,
    by_pid: HashMap<u32, ProcessId>,
    by_tid: HashMap<u32, TaskId>,
}

/// What is told of a process that ran already.
#[derive(Debug)]
pub struct Adopted {
    pub pid: u32,
    pub parent: u32,
    /// It does not belong to the command.
    pub outside: bool,
    /// Its main thread's name now.
    pub comm: String,
    pub seen: Seen,
}

impl Tree {
    /// The launched process, released at the origin.
    pub fn with_root(pid: u32) -> Tree {
        let mut tree = Tree::default();
        tree.add_process(pid, None, Nanos::ZERO);
        tree.add_task(pid, ProcessId(0), None, Nanos::ZERO, "");
        tree
    }

    pub fn task(&self, tid: u32) -> Option<TaskId> {
        self.by_tid.get(&tid).copied()
    }

    pub fn process(&self, pid: u32) -> Option<ProcessId> {
        self.by_pid.get(&pid).copied()
    }

    fn add_process(&mut self, pid: u32, parent: Option<ProcessId>, born: Nanos) -> ProcessId {
        let id = ProcessId(self.processes.len() as u32);
        let inherited = parent.and_then(|parent| self.processes[parent.0 as usize].images.last().cloned());
        self.processes.push(Process {
            pid,
            parent,
            born,
            died: None,
            ending: None,
            images: inherited.map(|image| Image { at: born, ..image }).into_iter().collect(),
            own_name: None,
            cpu: Nanos::ZERO,
        });
        self.by_pid.insert(pid, id);
        if parent.is_some_and(|parent| self.outside.binary_search(&parent).is_ok()) {
            self.outside.push(id); // the last id is the largest
        }
        id
    }

    /// A process that ran already; its threads come one by one.
    pub fn adopt(&mut self, adopted: Adopted, surroundings: Option<SurroundingsId>, at: Nanos) {
        let Adopted { pid, parent, outside, comm, seen } = adopted;
        let alive = |process: &ProcessId| self.processes[process.0 as usize].died.is_none();
        if self.process(pid).is_some_and(|process| alive(&process)) {
            return;
        }
        let parent = self.process(parent).filter(alive);
        let id = self.add_process(pid, parent, at);
        if outside && self.outside.last() != Some(&id) {
            self.outside.push(id);
        }
        let own_name = Some(comm).filter(|comm| !comm.is_empty() && !seen.may_be_called(comm));
        let comm = seen.names().next().unwrap_or_default();
        let Seen { executable, arguments, working_directory, service_name, whereabouts: _ } = seen;
        let process = &mut self.processes[id.0 as usize];
        process.own_name = own_name;
        process.images = vec![Image { at, comm, executable, arguments, working_directory, service_name, surroundings }];
    }

    /// A thread that ran already, of an adopted process.
    pub fn adopt_task(&mut self, record: &wire::Adopt, at: Nanos) {
        let Some(process) = self.process(record.header.pid) else { return };
        let known = self.task(record.header.tid).map(|task| &self.tasks[task.0 as usize]);
        if known.is_some_and(|task| task.process == process && task.died.is_none()) {
            return;
        }
        self.used_before.insert(record.header.tid, record.cpu_ns);
        self.add_task(record.header.tid, process, None, at, &name(&record.comm));
    }

    fn add_task(&mut self, tid: u32, process: ProcessId, maker: Option<TaskId>, born: Nanos, comm: &str) -> TaskId {
        let id = TaskId(self.tasks.len() as u32);
        self.tasks.push(Task { tid, process, maker, born, died: None, comm: comm.to_owned() });
        self.by_tid.insert(tid, id);
        id
    }

    /// Returns the new process's pid where it was more than a thread.
    pub fn fork(&mut self, record: &wire::Fork, at: Nanos) -> Option<u32> {
        let maker = self.task(record.header.tid);
        let parent = self.process(record.header.pid);
        let is_process = record.child_pid != record.header.pid;
        let process = match (is_process, parent) {
            (false, Some(process)) => process,
            _ => self.add_process(record.child_pid, parent, at),
        };
        self.add_task(record.child_tid, process, maker, at, &name(&record.comm));
        is_process.then_some(record.child_pid)
    }

    /// Where a process is so far, as far as it is known.
    pub fn surroundings(&self, pid: u32) -> Option<SurroundingsId> {
        self.processes[self.process(pid)?.0 as usize].images.last()?.surroundings
    }

    pub fn exec(&mut self, record: &wire::Named, seen: Seen, surroundings: Option<SurroundingsId>, at: Nanos) {
        let pid = record.header.pid;
        let process = match self.process(pid) {
            Some(process) => process,
            None => self.add_process(pid, None, at),
        };
        // A thread that is not the leader takes over the leader's id when it calls execve.
        let former = record.value as u32;
        let task = if former != record.header.tid { self.by_tid.remove(&former) } else { None };
        let task = task.or_else(|| self.task(record.header.tid));
        let comm = name(&record.comm);
        match task {
            Some(task) => {
                self.by_tid.insert(record.header.tid, task);
                let entry = &mut self.tasks[task.0 as usize];
                entry.tid = record.header.tid;
                entry.comm.clone_from(&comm);
            }
            None => {
                self.add_task(record.header.tid, process, None, at, &comm);
            }
        }
        let Seen { executable, arguments, working_directory, service_name, whereabouts: _ } = seen;
        let process = &mut self.processes[process.0 as usize];
        process.own_name = None;
        process.images.push(Image { at, comm, executable, arguments, working_directory, service_name, surroundings });
    }

    /// `title`: what the command line said right after, empty where the process was gone.
    pub fn rename(&mut self, record: &wire::Named, title: String) {
        let comm = name(&record.comm);
        if let Some(task) = self.task(record.header.tid) {
            self.tasks[task.0 as usize].comm.clone_from(&comm);
        }
        if record.header.tid == record.header.pid
            && let Some(process) = self.process(record.header.pid)
        {
            // Names have 15 bytes; a title that begins with one is its full text.
            let entry = &mut self.processes[process.0 as usize];
            let first = entry.images.last().and_then(|image| image.arguments.first());
            let full = !comm.is_empty() && title.starts_with(comm.as_str()) && first != Some(&title);
            entry.own_name = Some(if full { title } else { comm });
        }
    }

    /// Returns the pid where the whole process is over.
    pub fn exit(&mut self, record: &wire::Exit, at: Nanos) -> Option<u32> {
        // The ids stay known until they are used again: a task is switched out and in on its way out.
        if let Some(task) = self.task(record.header.tid) {
            let task = &mut self.tasks[task.0 as usize];
            task.died = Some(at);
            if task.comm.is_empty() {
                task.comm = name(&record.comm);
            }
        }
        let process = self.process(record.header.pid)?;
        let entry = &mut self.processes[process.0 as usize];
        let before = self.used_before.remove(&record.header.tid).unwrap_or(0);
        entry.cpu = entry.cpu.plus(Nanos(record.cpu_ns.saturating_sub(before)));
        if record.alive != 0 {
            return None;
        }
        entry.died = Some(at);
        let signal = record.code & 0x7f;
        entry.ending = match (record.code, signal) {
            (wire::EXIT_UNKNOWN, _) => None,
            (_, 0) => Some(Ending::Exited((record.code >> 8 & 0xff) as i32)),
            (_, signal) => Some(Ending::Killed(signal as i32)),
        };
        Some(record.header.pid)
    }
}

/// A name of the kernel: up to its first NUL.
pub fn name(comm: &[u8; 16]) -> String {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(pid: u32, tid: u32) -> wire::Header {
        wire::Header { kind: 0, pid, tid, cpu: 0, at: 0 }
    }
    fn fork(pid: u32, tid: u32, child_pid: u32, child_tid: u32) -> wire::Fork {
        wire::Fork { header: header(pid, tid), child_pid, child_tid, comm: *b"python\0\0\0\0\0\0\0\0\0\0" }
    }
    fn exit(pid: u32, tid: u32, code: u32, alive: u32) -> wire::Exit {
        wire::Exit { header: header(pid, tid), code, alive, cpu_ns: 5, comm: [0; 16] }
    }

    #[test]
    fn ids_survive_the_reuse_of_pids() {
        let mut tree = Tree::with_root(100);
        assert_eq!(tree.fork(&fork(100, 100, 200, 200), Nanos(1)), Some(200));
        assert_eq!(tree.exit(&exit(200, 200, 3 << 8, 0), Nanos(2)), Some(200));
        assert_eq!(tree.fork(&fork(100, 100, 200, 200), Nanos(3)), Some(200));
        assert_eq!(tree.exit(&exit(200, 200, 9, 0), Nanos(4)), Some(200));
        assert_eq!(tree.processes.len(), 3);
        assert_eq!(tree.processes[1].ending, Some(Ending::Exited(3)));
        assert_eq!(tree.processes[2].ending, Some(Ending::Killed(9)));
        assert_eq!(tree.processes[2].parent, Some(ProcessId(0)));
    }

    #[test]
    fn a_title_is_a_name_in_full() {
        let mut tree = Tree::with_root(100);
        let named = |comm: &[u8; 16]| wire::Named { header: header(100, 100), value: 157, comm: *comm };
        let seen = Seen { arguments: vec!["gunicorn: maste".into()], ..Seen::default() };
        tree.exec(&named(b"gunicorn\0\0\0\0\0\0\0\0"), seen, None, Nanos(1));
        for (title, name) in [
            ("gunicorn: master [shop]", "gunicorn: master [shop]"),
            ("python app.py", "gunicorn: maste"),
            ("gunicorn: maste", "gunicorn: maste"),
            ("", "gunicorn: maste"),
        ] {
            tree.rename(&named(b"gunicorn: maste\0"), title.to_owned());
            assert_eq!(tree.processes[0].own_name.as_deref(), Some(name));
        }
    }

    #[test]
    fn threads_share_their_process() {
        let mut tree = Tree::with_root(100);
        assert_eq!(tree.fork(&fork(100, 100, 100, 101), Nanos(1)), None);
        assert_eq!(tree.tasks[1].process, ProcessId(0));
        assert_eq!(tree.exit(&exit(100, 101, 0, 1), Nanos(2)), None);
        assert_eq!(tree.exit(&exit(100, 100, 0, 0), Nanos(3)), Some(100));
        assert_eq!(tree.processes[0].cpu, Nanos(10));
    }

    fn adopted(pid: u32, parent: u32, comm: &str) -> Adopted {
        let seen = Seen {
            executable: "/usr/bin/python3.11".into(),
            arguments: vec!["python".into(), "svc.py".into()],
            ..Seen::default()
        };
        Adopted { pid, parent, outside: true, comm: comm.into(), seen }
    }
    fn adopt(pid: u32, tid: u32, cpu_ns: u64) -> wire::Adopt {
        wire::Adopt { header: header(pid, tid), parent: 1, reserved: 0, cpu_ns, comm: [0; 16] }
    }

    #[test]
    fn what_ran_already_is_outside_with_all_that_it_starts() {
        let mut tree = Tree::with_root(100);
        tree.adopt(adopted(50, 1, "mt-engine"), None, Nanos(1));
        tree.adopt(adopted(51, 50, "python"), None, Nanos(1));
        for (pid, tid) in [(50, 50), (50, 60), (51, 51), (50, 60)] {
            tree.adopt_task(&adopt(pid, tid, 3), Nanos(1));
        }
        tree.adopt(adopted(50, 1, "mt-engine"), None, Nanos(2));
        tree.fork(&fork(50, 60, 70, 70), Nanos(3));
        tree.fork(&fork(100, 100, 101, 101), Nanos(3));
        assert_eq!(tree.processes.len(), 5);
        assert_eq!(tree.outside, [ProcessId(1), ProcessId(2), ProcessId(3)]);
        assert_eq!(tree.tasks.len(), 6);
        assert_eq!(tree.processes[2].parent, Some(ProcessId(1)));
        let own: Vec<_> = tree.processes.iter().map(|process| process.own_name.as_deref()).collect();
        assert_eq!(own, [None, Some("mt-engine"), None, None, None]);
        tree.exit(&exit(50, 60, 0, 1), Nanos(4));
        assert_eq!(tree.processes[1].cpu, Nanos(2), "5 ns in all, 3 of them before");
    }

    #[test]
    fn execve_by_another_thread_takes_over_the_leader() {
        let mut tree = Tree::with_root(100);
        tree.fork(&fork(100, 100, 100, 101), Nanos(1));
        tree.exit(&exit(100, 100, 0, 1), Nanos(2));
        let exec = wire::Named { header: header(100, 100), value: 101, comm: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0" };
        tree.exec(&exec, Seen::default(), None, Nanos(3));
        assert_eq!(tree.task(100), Some(TaskId(1)));
        assert_eq!(tree.task(101), None);
    }
}
