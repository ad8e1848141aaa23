//! Processes and tasks of the traced tree, with ids that survive the reuse of pids and tids.

use serde::{Deserialize, Serialize};

use super::{Nanos, SurroundingsId};

/// Index into `Recording::processes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub u32);

/// Index into `Recording::tasks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub parent: Option<ProcessId>,
    pub born: Nanos,
    pub died: Option<Nanos>,
    pub ending: Option<Ending>,
    /// What it executed, in order; the first one is inherited from the parent at fork.
    pub images: Vec<Image>,
    /// The name that the process gave itself, where it did: what its command line says since then (setproctitle), else
    /// its main thread's name (prctl PR_SET_NAME).
    pub own_name: Option<String>,
    /// CPU time (user + system) of all its threads that have ended.
    pub cpu: Nanos,
}

/// One program image, from its execve on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub at: Nanos,
    /// The kernel's short name after execve (15 bytes at most).
    pub comm: String,
    /// Path of the executable, empty where the process was gone before it could be read.
    pub executable: String,
    /// Empty where the process was gone before it could be read. Bounded (see `collect`).
    pub arguments: Vec<String>,
    pub working_directory: String,
    /// OTEL_SERVICE_NAME of its environment, where set.
    pub service_name: Option<String>,
    /// None where the process and all of its ancestors were gone before it could be read.
    pub surroundings: Option<SurroundingsId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Exited(i32),
    Killed(i32),
}

/// A thread; in a program of Go's whose goroutines were seen, a goroutine, the main one in its process's first thread's
/// place, or what threads did for the scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// 0: none of the kernel's.
    pub tid: u32,
    pub process: ProcessId,
    /// Who called fork or clone; None for the root.
    pub maker: Option<TaskId>,
    pub born: Nanos,
    pub died: Option<Nanos>,
    /// The thread's name at its end.
    pub comm: String,
}
