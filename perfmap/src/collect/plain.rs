//! The backend without any privilege: what waiting for the target and reading /proc tell, and nothing more. Wall time,
//! CPU time and memory are right; of functions, waits, files and requests nothing is known, and the recording says so
//! in the only way that claims nothing: one wait without a cause, as long as the run.

use std::{collections::BTreeSet, os::fd::AsFd, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    CollectError, Control, Mode, Outcome, Plan, Progress,
    clock::{children_cpu, monotonic_ns, own_cpu},
    gpu::GpuWatch,
    memory::MemoryWatch,
    process,
    run::Controller,
};
use crate::{
    recording::{Event, Image, Meta, Nanos, OffCpu, OffState, Process, ProcessId, Recording, Task, TaskId},
    target::{Held, LaunchError},
    unwind::ModuleFiles,
};

/// What [`Meta::backend`] says of such a recording.
pub const PLAIN_BACKEND: &str = "procfs";
const TICK: Duration = Duration::from_millis(10);
/// Processes of one tree that are looked at.
const PROCESSES: usize = 4096;

/// As [`super::run`], by the means of an ordinary user. `lost` is kept as a note: what is missing, and why.
pub fn run_plain(
    plan: &Plan,
    launch: impl FnOnce() -> Result<Held, LaunchError>,
    lost: &str,
    control: &mut Controller<'_>,
) -> Result<Outcome, CollectError> {
    let cpu_before = children_cpu();
    let held = launch()?;
    let (root, remote) = (held.pid(), held.remote());
    let origin = monotonic_ns();
    let mut running = held.release()?;
    let mut memory = MemoryWatch::default();
    let mut gpu = GpuWatch::default();
    let mut interrupted = false;
    let mut image = None;
    let ending = loop {
        let now = monotonic_ns();
        let alive = tree(root);
        if plan.mode == Mode::Count {
            memory.tick(now, &alive);
        }
        gpu.tick(now, Nanos(now.saturating_sub(origin)), &alive);
        if image.is_none() && now.saturating_sub(origin) > 50_000_000 {
            image = Some(process::read(root));
        }
        let ended =
            running.try_wait().map_err(|error| CollectError::Recorder(format!("waiting for the target: {error}")));
        if let Some(ending) = ended? {
            break Some(ending);
        }
        let elapsed = Nanos(now.saturating_sub(origin));
        let progress = Progress { elapsed, events: 0, processes: alive.len() as u32 };
        if control(&progress, &remote) == Control::Abort {
            interrupted = true;
            break None;
        }
        let timeout = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(running.pidfd().as_fd(), PollFlags::POLLIN)], timeout);
    };
    let wall = Nanos(monotonic_ns().saturating_sub(origin));
    let seen = image.unwrap_or_default();
    let process = Process {
        pid: root,
        parent: None,
        born: Nanos::ZERO,
        died: ending.map(|_| wall),
        ending,
        images: vec![Image {
            at: Nanos::ZERO,
            comm: String::new(),
            executable: seen.executable,
            arguments: seen.arguments,
            working_directory: seen.working_directory,
            service_name: seen.service_name,
            surroundings: None,
        }],
        own_name: None,
        cpu: children_cpu().since(cpu_before),
    };
    let task = Task {
        tid: root,
        process: ProcessId(0),
        maker: None,
        born: Nanos::ZERO,
        died: ending.map(|_| wall),
        comm: String::new(),
    };
    let unknown = OffCpu {
        task: TaskId(0),
        off: Nanos::ZERO,
        woken: wall,
        on: wall,
        state: OffState::Interruptible,
        syscall: None,
        waker: None,
        call: None,
        stack: None,
        unfinished: ending.is_none(),
        throttled: false,
        held: None,
        unseen_wake: false,
        before: None,
        device: None,
    };
    let meta = Meta {
        backend: PLAIN_BACKEND.into(),
        kernel: super::kernel_release(),
        sample_hz: plan.sample_hz,
        wait_threshold: plan.wait_threshold,
        cpus: super::online_cpus().len() as u32,
        root: Some(TaskId(0)),
        wall,
        ending,
        interrupted,
        tree_cpu: process.cpu,
        own_cpu: own_cpu(),
        notes: vec![lost.to_owned()],
        ..Meta::default()
    };
    let recording = Recording {
        meta,
        processes: vec![process],
        tasks: vec![task],
        events: vec![Event::OffCpu(unknown)],
        gpu: gpu.into_seen(),
        ..Recording::default()
    };
    Ok(Outcome {
        recording,
        origin: Nanos(origin),
        files: ModuleFiles::default(),
        memory: memory.curve(),
        peers: Vec::new(),
        tls_libraries: Vec::new(),
        allocations: None,
    })
}

/// The process and all below it, as far as the kernel lists children.
fn tree(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        if found.len() >= PROCESSES || !found.insert(pid) {
            continue;
        }
        let process = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok());
        let Some(Ok(threads)) = process.map(|process| process.tasks()) else { continue };
        open.extend(threads.flatten().filter_map(|thread| thread.children().ok()).flatten());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tree() {
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "sleep 5 & wait"]).spawn().expect("sh runs");
        let deadline = std::time::Instant::now() + Duration::from_secs(3);
        let mut found = tree(child.id());
        while found.len() < 2 && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            found = tree(child.id());
        }
        assert!(found.contains(&child.id()));
        assert_eq!(found.len(), 2, "the shell and its sleep");
        for pid in found {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL);
        }
        let _ = child.wait();
    }
}
