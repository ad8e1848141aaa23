//! The live side: runs a held target under the probes and returns what was recorded. The only room that knows aya,
//! perf-event2 and the wire.
//!
//! Two threads: this one empties the kernel's buffers and looks after the target (`run`), a second one decodes,
//! unwinds and interns (`recorder`), so that a slow unwind never lets a buffer run full. A bounded channel between
//! them; both are joined.

mod adopt;
mod allocator_functions;
mod allocators;
mod ask_functions;
mod asks;
mod called;
mod choice;
mod clock;
mod connections;
mod conntrack;
mod containers;
mod decode;
mod devices;
mod exchanges;
mod fallback;
mod go_programs;
mod goroutines;
mod gpu;
mod habitats;
mod item;
mod mappings;
mod memory;
mod meter;
mod object;
mod opened;
mod overload;
mod peers;
mod perf;
mod pid_namespace;
mod pieces;
mod plaintext;
mod pressure;
mod privileges;
mod probes;
mod process;
mod procfs;
mod pyspy;
mod python_programs;
mod recorder;
mod remedy;
mod run;
mod runtime_notes;
mod rustls_parts;
mod selected;
mod sockets;
mod stacks;
mod surroundings;
mod thinning;
mod tls_functions;
mod tls_libraries;
mod tls_multi;
mod tls_notes;
mod tls_probes;
mod to_wire;
mod tree;
mod unprivileged;

pub use called::Named;
pub use choice::{MOUNT_PROC, Means, Missing, available};
pub use peers::{FollowPeers, Peer, Peers};
pub use pid_namespace::is_proc_foreign;
pub use privileges::{
    NEEDS, Need, at_start as drop_needless_capabilities, only_writing as drop_all_but_writing, tried,
};
pub use probes::{PROBES, Probe, ProbeResult, probe};
pub use pyspy::{READ_INTERPRETERS, serve as read_interpreters};
pub use recorder::Detail;
pub use remedy::{filtered_calls, remedy, remedy_outside};
pub use run::{Controller, attach, run};
pub use selected::running;
pub use unprivileged::run_unprivileged;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    recording::{Nanos, NativeAllocations, Recording},
    target::{self, LaunchError},
    unwind::ModuleFiles,
};

/// What is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Counts only: processes, bytes, messages; no samples, no waits, no stacks.
    Count,
    Profile,
}

/// Who reads Python's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonBy {
    /// The kernel side, and for interpreters that it does not know a reader outside.
    Auto,
    /// The kernel side alone.
    Ebpf,
    /// A reader outside alone.
    PySpy,
    Off,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub mode: Mode,
    /// CPU samples per second and CPU.
    pub sample_hz: u32,
    /// Blocks at least this long are recorded one by one.
    pub wait_threshold: Nanos,
    /// Most bytes of user stack that are copied for a stack.
    pub stack_bytes: u32,
    /// Services that run already.
    pub peers: Peers,
    /// TLS libraries that an earlier run used, and programs that the command names: probed before the target starts. A library that is new is probed some 20 ms
    /// after it was mapped, which a short program's first request may not wait for.
    pub tls_libraries: Vec<TlsUse>,
    /// Probes in TLS libraries are set one by one, as kernels before 6.6 need it, also where all of a library can be one link.
    pub single_probes: bool,
    /// Of so many times that a task gets a CPU one goes by unseen, as some do on their own; 0: none more.
    pub lose_arrivals: u32,
    /// What is kept in memory at most, and how the rest is counted.
    pub detail: Detail,
    /// Calls of allocators are looked at: a run of its own.
    pub allocations: Option<AllocationPlan>,
    pub python: PythonBy,
}

/// Where a run's allocators are, as far as an earlier one has shown, and for how long they are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationPlan {
    pub files: Vec<PathBuf>,
    pub limit: Nanos,
}

/// A TLS library that a run used, and what it called in it; of an event loop's library nothing is called by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsUse {
    path: PathBuf,
    functions: BTreeSet<perfmap_common::TlsFunction>,
}

impl TlsUse {
    /// Of one that is to run, with whatever of TLS and of an event loop is linked into it.
    pub fn of_program(path: PathBuf) -> TlsUse {
        TlsUse { path, functions: BTreeSet::new() }
    }

    pub fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }
}

/// What the caller wants next; asked about every 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Continue,
    /// Stop recording now, whatever the target does.
    Abort,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    pub elapsed: Nanos,
    pub events: u64,
    /// Processes alive now.
    pub processes: u32,
}

/// Resident memory of the target's tree over the run, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryCurve {
    pub peak: u64,
    pub start: u64,
    pub end: u64,
    /// Shared pages were counted once (PSS), not per process (RSS).
    pub is_pss: bool,
}

#[derive(Debug)]
pub struct Outcome {
    pub recording: Recording,
    /// CLOCK_MONOTONIC at the recording's origin.
    pub origin: Nanos,
    /// The mapped files, kept open for the look-up of names.
    pub files: ModuleFiles,
    pub memory: MemoryCurve,
    /// Processes outside the command that it talked to, in the order in which they were met.
    pub peers: Vec<Peer>,
    /// TLS libraries that were probed.
    pub tls_libraries: Vec<TlsUse>,
    /// Where they were looked at.
    pub allocations: Option<NativeAllocations>,
}

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("no privilege for eBPF: {missing}")]
    NoPrivilege { missing: String },
    #[error("/proc belongs to another PID namespace than perfmap: its process numbers are not perfmap's")]
    ForeignProc,
    #[error("this kernel cannot do it: {what}")]
    Unsupported { what: String },
    #[error("could not load {what}: {why}")]
    Load { what: String, why: String },
    /// Of the command; of perfmap's own they may work.
    #[error("perf events of the command are refused: {why}")]
    NoPerfEvents { why: String },
    #[error("the recorder stopped: {0}")]
    Recorder(String),
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

impl CollectError {
    /// Tells a lack of privilege from other failures of loading.
    fn from_load(what: &str, error: &(dyn std::error::Error + 'static)) -> CollectError {
        let mut source = Some(error);
        let mut text = String::new();
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && matches!(io.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS))
                && let Some(missing) = lack(what, io)
            {
                return CollectError::NoPrivilege { missing };
            }
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            source = error.source();
        }
        // The verifier's log can have megabytes; its last words say what was wrong.
        let tail: String = text.chars().rev().take(600).collect::<Vec<_>>().into_iter().rev().collect();
        CollectError::Load { what: what.into(), why: tail }
    }
}

/// What the verifier's log counts after its last word on the program.
const COUNTS: [&str; 4] = ["processed ", "verification time ", "stack depth ", "mark_precise:"];

impl CollectError {
    /// Before anything was launched: what does not load is what this kernel refuses, and less privilege may do without it.
    fn before_launch(self) -> CollectError {
        let CollectError::Load { what, why } = self else { return self };
        let mut lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines.rfind(|line| !COUNTS.iter().any(|count| line.starts_with(count)));
        CollectError::Unsupported { what: format!("{what} could not be loaded: {}", last.unwrap_or("no reason given")) }
    }
}

/// The kernel's mode of lockdown, where securityfs is mounted.
fn lockdown() -> Option<String> {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (mode, _) = text.split_once('[')?.1.split_once(']')?;
    Some(mode.to_owned())
}

/// What a refusal for want of privilege lacks; None: nothing is known to lack, it may be the verifier's.
fn lack(what: &str, refused: &std::io::Error) -> Option<String> {
    let missing: Vec<String> = privileges::missing_for_loading().iter().map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Some(format!("{} not held; {what} was refused: {refused}", missing.join(" and ")));
    }
    // Debian's and Ubuntu's patch: then CAP_PERFMON does not pass.
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?;
    if matches!(refused.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) {
        // What the verifier or the kernel's version refuses has other numbers.
        let by = match lockdown().as_deref() {
            Some("none") => "a seccomp filter or a security module".to_owned(),
            Some(mode) => format!("lockdown ({mode}), a seccomp filter or a security module"),
            None => "lockdown, a seccomp filter or a security module".into(),
        };
        return Some(format!("{what} was refused ({refused}) by {by}"));
    }
    let strict = level.trim().parse::<i32>().is_ok_and(|level| level >= 3);
    let admin = target::capabilities::Sets::now().effective.has(target::Capability::SysAdmin);
    (strict && !admin && refused.raw_os_error() == Some(libc::EACCES)).then(|| {
        format!(
            "{what} was refused ({refused}): perf_event_paranoid is {}, which only CAP_SYS_ADMIN passes",
            level.trim()
        )
    })
}

fn kernel_release() -> String {
    nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// CPUs that are online, from /sys; all that exist where it cannot be read.
fn online_cpus() -> Vec<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mut cpus: Vec<usize> = text
        .trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect();
    if cpus.is_empty() {
        cpus = (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
    }
    cpus
}
