//! The narrow waist: everything that was observed, and nothing that was concluded.
//!
//! `collect` writes a [`Recording`]; all rooms to the right read it and are plain functions of it: no root, no
//! clock, no network, the same recording gives the same bytes out. Events hold interned stacks and task ids that
//! survive the reuse of thread ids. No payload bytes and no header values are kept: messages carry protocol marks.

mod allocations;
mod ask;
mod baseline;
mod closer;
mod earlier;
mod event;
mod far_end;
pub mod file;
mod files;
mod gpu;
mod loss;
mod own_profile;
mod pressure;
mod process;
mod socket;
mod source;
mod stack;
mod surroundings;
mod thinning;
mod turn;
mod work;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use allocations::{AllocatedAt, Estimate, NativeAllocations};
pub use ask::{Ask, Asked};
pub use baseline::{Baseline, GpuUse, Metrics};
pub use closer::{Allocated, AllocatedBy, Closer, SampledAgain, StackNames, TimedFunction, TimedLines};
pub use earlier::{
    Earlier, Endpoint, Fold, Folded, Gone, Latencies, OTHER_REQUESTS, Requests, Spoken, Sureness, Tally,
};
pub use event::{
    Call, CallId, CallStep, Device, DeviceId, Direction, Event, FileIo, FileOperation, HeldLock, Layer, Mark, Memory,
    Message, OffCpu, OffState, OnObject, Runner, Sample, ShortWaits, WaitClass, Waker, WebMethod, Wire,
};
pub use far_end::FarEnd;
pub use files::{DescriptorKind, Descriptors, FileId, Files, KnownFile, Made, Unread};
pub use gpu::{Gpu, GpuReading};
pub use loss::{Loss, Losses};
pub use own_profile::{OwnFunction, OwnKind, OwnProfile};
pub use pressure::{Disk, Environment, GroupMemory, Pressure, Resource, Scope};
pub use process::{Ending, Image, Process, ProcessId, Task, TaskId};
pub use socket::{Address, Ends, Family, Role, Socket, SocketId, StateChange, TcpState, Translation};
pub use source::{E2eTest, EntryKind, EntryPoint, Source, SourceFinding, SourceKind, SourceStep, TestSource};
pub use stack::{
    Code, CodeId, Frame, FrameId, JitPlace, KernelSymbolId, Module, ModuleId, PythonFrame, PythonFrameId, Stack,
    StackEnd, StackId, Symbol, SymbolFunction, Unnamed,
};
pub use surroundings::{Container, NamedService, Namespaces, ServiceSelector, Surroundings, SurroundingsId, is_unit};
pub use thinning::{Overload, Thinned, Thinning};
pub use turn::{CoroutineId, Turn, TurnKind};
pub use work::{MOST_PROGRESS, MOST_SWEEP, Progress, Sampled, SweepRun, Work};

/// Nanoseconds: a length, or an instant counted from the recording's origin (the release of the held target).
/// The kernel's clock is CLOCK_MONOTONIC; instants before the origin are clamped to 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Nanos(pub u64);

impl Nanos {
    pub const ZERO: Nanos = Nanos(0);

    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn plus(self, length: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(length.0))
    }

    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl std::iter::Sum for Nanos {
    fn sum<I: Iterator<Item = Nanos>>(values: I) -> Nanos {
        values.fold(Nanos::ZERO, Nanos::plus)
    }
}

/// Length of the union of intervals (from, to), in any order.
pub fn covered(intervals: impl IntoIterator<Item = (Nanos, Nanos)>) -> Nanos {
    let mut sorted: Vec<(Nanos, Nanos)> = intervals.into_iter().collect();
    sorted.sort_unstable();
    let (mut sum, mut end) = (Nanos::ZERO, Nanos::ZERO);
    for (from, to) in sorted {
        sum = sum.plus(to.since(from.max(end)));
        end = end.max(to);
    }
    sum
}

/// How the recording came to be: what was run, by which means, at what price.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// argv of the command as typed.
    pub command: Vec<String>,
    pub working_directory: PathBuf,
    /// Roots of the user's own code: functions in files below them are steps. Found at record time, because
    /// `report` may run on a machine without these directories.
    pub project_roots: Vec<PathBuf>,
    /// Globs given with `--app`; a file that matches one is the user's own, wherever it lies.
    pub app_globs: Vec<String>,
    /// Names that the user gave to services, the strongest first.
    pub services: Vec<NamedService>,
    /// What operations usually take, where the user says so: TOML of a `[norms]` table each, the strongest last.
    pub norms: Vec<String>,
    /// Where perfmap itself ran: what the program shares with it says nothing about the program.
    pub own_surroundings: Option<SurroundingsId>,
    pub backend: String,
    pub kernel: String,
    /// CPU samples per second and CPU that were asked for.
    pub sample_hz: u32,
    /// Blocks at least this long are recorded one by one; shorter ones are summed. `thinned` may raise it.
    pub wait_threshold: Nanos,
    pub cpus: u32,
    /// The task that was launched; its life is the wall time.
    pub root: Option<TaskId>,
    /// When the root task was gone (or the recording stopped): the wall time, since the origin is 0.
    pub wall: Nanos,
    pub ending: Option<Ending>,
    /// The user asked to stop (Ctrl-C) before the root ended.
    pub interrupted: bool,
    /// Run time of our BPF programs in the profiled run, by program: (name, runs, total).
    pub bpf_cost: Vec<(String, u64, Nanos)>,
    /// CPU time of the target's tree: what wait4 reported for the root and all that was waited for below it, or the sum
    /// over the threads that ended, whichever is larger.
    pub tree_cpu: Nanos,
    /// CPU time that perfmap itself used while recording.
    pub own_cpu: Nanos,
    /// What was given up because the probes cost too much, in the order of time.
    pub thinned: Vec<Thinned>,
    pub notes: Vec<String>,
    /// Processes that do not belong to the command: services that it talks to and that ran already, and what these
    /// started. Sorted.
    pub outside: Vec<ProcessId>,
    /// No command was run: running processes were watched for `wall`, and there is no root task.
    pub attached: bool,
}

/// One profiled run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub meta: Meta,
    pub baseline: Option<Baseline>,
    pub processes: Vec<Process>,
    pub surroundings: Vec<Surroundings>,
    pub tasks: Vec<Task>,
    pub sockets: Vec<Socket>,
    pub modules: Vec<Module>,
    pub codes: Vec<Code>,
    pub kernel_symbols: Vec<String>,
    pub frames: Vec<Frame>,
    pub python_frames: Vec<PythonFrame>,
    pub stacks: Vec<Stack>,
    /// Names of the native frames, same index as `frames`; filled by `resolve::native` while the files are there.
    pub symbols: Vec<Symbol>,
    /// System calls in which a recorded wait happened.
    pub calls: Vec<Call>,
    /// Block devices that were waited for.
    pub devices: Vec<Device>,
    /// Sorted by [`Event::at`].
    pub events: Vec<Event>,
    pub losses: Losses,
    /// Sorted by `at`.
    pub turns: Vec<Turn>,
    /// Sorted by `at`.
    pub asks: Vec<Ask>,
    /// What is known of the time before the origin.
    pub earlier: Earlier,
    /// None: nobody looked.
    pub source: Option<Source>,
    /// Empty where the target used no NVIDIA device.
    pub gpu: Gpu,
    /// Of connections that are older than the recording.
    pub translations: Vec<Translation>,
    pub work: Work,
    pub files: Files,
    pub environment: Environment,
    pub closer: Closer,
    /// In the order in which they were asked for.
    pub own_profiles: Vec<OwnProfile>,
    /// Most exchanges first; empty where messages themselves were seen.
    pub far_ends: Vec<FarEnd>,
}

impl Recording {
    /// All the time that was observed; `meta.wall` is the part that is known in detail.
    pub fn observed(&self) -> Nanos {
        self.meta.wall.plus(self.earlier.length)
    }
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.0 as usize]
    }
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.0 as usize]
    }
    /// Not one of the command's own processes (see [`Meta::outside`]).
    pub fn is_outside(&self, id: ProcessId) -> bool {
        self.meta.outside.binary_search(&id).is_ok()
    }
    pub fn process_of(&self, task: TaskId) -> &Process {
        self.process(self.task(task).process)
    }
    pub fn stack(&self, id: StackId) -> &Stack {
        &self.stacks[id.0 as usize]
    }
    pub fn socket(&self, id: SocketId) -> &Socket {
        &self.sockets[id.0 as usize]
    }
    pub fn call(&self, id: CallId) -> &Call {
        &self.calls[id.0 as usize]
    }
}
