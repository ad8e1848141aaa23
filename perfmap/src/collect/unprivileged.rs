//! A run without eBPF: as [`super::run`], by the means of an ordinary user. The watch that the means gives tells the
//! same recorder what it saw; this thread looks after the target, the memory and the signals, the recorder's unwinds.

use std::{collections::BTreeSet, os::fd::AsFd, thread, time::Duration};

use crossbeam_channel::{Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    CollectError, Control, Means, Mode, Outcome, Plan, Progress, PythonBy,
    clock::{children_cpu, monotonic_ns, own_cpu},
    exchanges::Exchanges,
    fallback::Fallback,
    gpu::GpuWatch,
    item::Item,
    mappings::{Change, What},
    memory::MemoryWatch,
    perf::{Asked, Perf},
    process,
    procfs::{Procfs, tree},
    python_programs::{self, PythonPrograms},
    recorder::Recorder,
    run::{Controller, DescriptorLimit},
    to_wire::{Entries, Who},
};
use crate::{
    recording::{Ending, Loss, Losses, Meta, Nanos, Recording, TaskId},
    target::{Held, LaunchError},
    unwind::{
        Root,
        python::{Discoverer, worth_a_look},
    },
};

const TICK: Duration = Duration::from_millis(10);
/// While waits are looked at: those that are shorter are not known.
const LOOK_TICK: Duration = Duration::from_millis(2);
/// A program has begun by then.
const BEGUN_NS: u64 = 50_000_000;
const CHANNEL: usize = 16;
const INTERRUPTIBLE: u32 = 1;

/// `lost` is kept as a note: what is missing, and why.
pub fn run_unprivileged(
    plan: &Plan,
    means: Means,
    launch: impl FnOnce() -> Result<Held, LaunchError>,
    lost: &str,
    control: &mut Controller<'_>,
) -> Result<Outcome, CollectError> {
    let cpus = super::online_cpus();
    let cpu_before = children_cpu();
    let held = launch()?;
    let (root, remote) = (held.pid(), held.remote());
    let origin = monotonic_ns();
    let mut watch = Watch::begin(plan, means, root, &cpus, origin)?;
    let mut exchanges = (plan.mode == Mode::Profile).then(|| Exchanges::begin(origin));
    let (sender, receiver) = bounded::<Item>(CHANNEL);
    let detail = plan.detail;
    let recorder = thread::Builder::new()
        .name("recorder".into())
        .spawn(move || {
            let mut recorder = Recorder::new(origin, Some(root), None, None, detail);
            for item in receiver {
                recorder.accept(item);
            }
            recorder
        })
        .map_err(|error| CollectError::Recorder(error.to_string()))?;
    let by = match (plan.mode, plan.python) {
        (Mode::Count, _) | (_, PythonBy::Ebpf | PythonBy::Off) => PythonBy::Off,
        (Mode::Profile, by @ (PythonBy::Auto | PythonBy::PySpy)) => by,
    };
    let mut python = PythonPrograms::new(None, by, Fallback::default());
    let mut discoverer = Discoverer::default();
    let mut known = BTreeSet::new();
    let _limit = DescriptorLimit::raise();
    let mut running = held.release()?;
    let (mut memory, mut gpu) = (MemoryWatch::default(), GpuWatch::default());
    let mut interrupted = false;
    let ending = loop {
        let now = monotonic_ns();
        for item in watch.tick(now) {
            look_for_python(&item, now, &mut python);
            send(&sender, item)?;
        }
        let alive = watch.alive();
        alive.difference(&known).for_each(|pid| python.search(*pid, now));
        known.difference(alive).for_each(|pid| python.ended(*pid));
        known.clone_from(alive);
        if let Some(exchanges) = &mut exchanges {
            exchanges.tick(now, alive);
        }
        python.tell(python_programs::look(&mut discoverer, python.wanted()), now, &sender)?;
        if plan.mode == Mode::Count {
            memory.tick(now, alive);
        }
        gpu.tick(now, Nanos(now.saturating_sub(origin)), alive);
        let ended =
            running.try_wait().map_err(|error| CollectError::Recorder(format!("waiting for the target: {error}")));
        if let Some(ending) = ended? {
            break Some(ending);
        }
        let elapsed = Nanos(now.saturating_sub(origin));
        let progress = Progress { elapsed, events: watch.events(), processes: alive.len() as u32 };
        if control(&progress, &remote) == Control::Abort {
            interrupted = true;
            break None;
        }
        let timeout = PollTimeout::try_from(watch.pause(monotonic_ns())).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(running.pidfd().as_fd(), PollFlags::POLLIN)], timeout);
    };
    let now = monotonic_ns();
    let stopped = Nanos(now.saturating_sub(origin));
    let exact_to = watch.exact_to(now);
    let exchanged = exchanges.map(|exchanges| exchanges.finish(watch.alive())).unwrap_or_default();
    let (items, told) = watch.finish(now, root, ending);
    items.into_iter().try_for_each(|item| send(&sender, item))?;
    let python = python.finish();
    drop(sender);
    let recorder = recorder.join().map_err(|_| CollectError::Recorder("its thread panicked".into()))?;
    let mut losses = Losses::default();
    told.into_iter().for_each(|(kind, count)| losses.add(kind, count));
    let (mut recording, files) = recorder.finish(&losses);
    let before = recording.earlier.length;
    let tree_cpu = children_cpu().since(cpu_before).since(python.readers_cpu());
    finish_root(&mut recording, ending, tree_cpu);
    let died = recording.processes.first().and_then(|process| process.died);
    recording.meta = Meta {
        backend: means.name().into(),
        kernel: super::kernel_release(),
        sample_hz: plan.sample_hz,
        wait_threshold: plan.wait_threshold.max(exact_to),
        cpus: cpus.len() as u32,
        root: Some(TaskId(0)),
        wall: died.unwrap_or(stopped.since(before)),
        ending,
        interrupted,
        tree_cpu: tree_cpu.max(recording.processes.iter().map(|process| process.cpu).sum()),
        own_cpu: own_cpu().plus(python.readers_cpu()),
        own_surroundings: recording.meta.own_surroundings,
        notes: vec![lost.to_owned()],
        ..Meta::default()
    };
    recording.gpu = gpu.into_seen();
    let of_python = python.notes(&recording, recording.meta.wall);
    recording.meta.notes.extend(of_python);
    recording.meta.notes.extend(exchanged.notes);
    recording.far_ends = exchanged.far_ends;
    Ok(Outcome {
        recording,
        origin: Nanos(origin).plus(before),
        files,
        memory: memory.curve(),
        peers: Vec::new(),
        tls_libraries: Vec::new(),
        allocations: None,
    })
}

fn send(sender: &Sender<Item>, item: Item) -> Result<(), CollectError> {
    sender.send(item).map_err(|_| CollectError::Recorder("its thread is gone".into()))
}

/// A new program, or an interpreter that was mapped late.
fn look_for_python(item: &Item, now: u64, python: &mut PythonPrograms) {
    match item {
        Item::Image { pid, .. } => python.executed(*pid, now),
        Item::Changes(changes) => {
            for Change { pid, what, .. } in changes {
                let is_one = match what {
                    What::Mapped { path, .. } => worth_a_look(&String::from_utf8_lossy(path)),
                    What::Snapshot(mappings) => mappings.iter().any(|mapping| worth_a_look(&mapping.path)),
                    What::Forked { .. } | What::Executed => false,
                };
                if is_one {
                    python.search(*pid, now);
                }
            }
        }
        Item::Events(_)
        | Item::Python { .. }
        | Item::Reading { .. }
        | Item::Go { .. }
        | Item::Title { .. }
        | Item::Adopted { .. }
        | Item::OpenSockets(_) => {}
    }
}

/// What only waiting for it tells.
fn finish_root(recording: &mut Recording, ending: Option<Ending>, tree_cpu: Nanos) {
    let alone = recording.processes.len() == 1;
    if let Some(root) = recording.processes.first_mut() {
        root.ending = ending;
        if alone && root.cpu == Nanos::ZERO {
            root.cpu = tree_cpu;
        }
    }
}

enum Watch {
    Perf(Box<Perf>),
    Procfs(Box<Procfs>),
    /// Nothing is looked at but memory.
    Counting(Counting),
}

struct Counting {
    root: u32,
    origin: u64,
    alive: BTreeSet<u32>,
    told: bool,
}

impl Watch {
    fn begin(plan: &Plan, means: Means, root: u32, cpus: &[usize], now: u64) -> Result<Watch, CollectError> {
        let counting = Counting { root, origin: now, alive: BTreeSet::from([root]), told: false };
        Ok(match (plan.mode, means) {
            (Mode::Count, _) | (Mode::Profile, Means::Ebpf | Means::Counts) => Watch::Counting(counting),
            (Mode::Profile, Means::Perf) => {
                let asked = Asked { sample_hz: plan.sample_hz, stack_bytes: plan.stack_bytes };
                let perf = Perf::open(root, cpus, asked, plan.wait_threshold.0, now);
                Watch::Perf(Box::new(perf.map_err(|error| CollectError::NoPerfEvents { why: error.to_string() })?))
            }
            (Mode::Profile, Means::Procfs) => {
                Watch::Procfs(Box::new(Procfs::new(root, now, plan.sample_hz, plan.stack_bytes)))
            }
        })
    }

    fn tick(&mut self, now: u64) -> Vec<Item> {
        match self {
            Watch::Perf(perf) => perf.tick(now),
            Watch::Procfs(procfs) => procfs.tick(now),
            Watch::Counting(counting) => counting.tick(now),
        }
    }

    fn alive(&self) -> &BTreeSet<u32> {
        match self {
            Watch::Perf(perf) => perf.alive(),
            Watch::Procfs(procfs) => procfs.alive(),
            Watch::Counting(counting) => &counting.alive,
        }
    }

    fn events(&self) -> u64 {
        match self {
            Watch::Perf(perf) => perf.events(),
            Watch::Procfs(procfs) => procfs.passes(),
            Watch::Counting(_) => 0,
        }
    }

    fn pause(&self, now: u64) -> Duration {
        match self {
            Watch::Perf(_) => LOOK_TICK,
            Watch::Procfs(procfs) => Duration::from_nanos(procfs.due().saturating_sub(now)).min(TICK),
            Watch::Counting(_) => TICK,
        }
    }

    /// Waits shorter than this are known as sums alone.
    fn exact_to(&self, now: u64) -> Nanos {
        match self {
            Watch::Perf(_) | Watch::Counting(_) => Nanos::ZERO,
            Watch::Procfs(procfs) => Nanos(procfs.period(now)),
        }
    }

    fn finish(self, now: u64, root: u32, ending: Option<Ending>) -> (Vec<Item>, Vec<(Loss, u64)>) {
        match self {
            Watch::Perf(perf) => perf.finish(now),
            Watch::Procfs(procfs) => procfs.finish(now, matches!(ending, Some(Ending::Exited(_))).then_some(root)),
            Watch::Counting(counting) => {
                let mut entries = Entries::default();
                let who = Who { pid: root, tid: root, at: now };
                // One wait without a cause, as long as the run: it claims nothing.
                entries.block(who, counting.origin, INTERRUPTIBLE, None, ending.is_none());
                if ending.is_some() {
                    entries.exit(who, perfmap_common::EXIT_UNKNOWN, 0, 0, [0; 16]);
                }
                (vec![Item::Events(entries.into_bytes())], Vec::new())
            }
        }
    }
}

impl Counting {
    fn tick(&mut self, now: u64) -> Vec<Item> {
        self.alive = tree(self.root).into_keys().collect();
        if self.told || now.saturating_sub(self.origin) < BEGUN_NS {
            return Vec::new();
        }
        self.told = true;
        let root = self.root;
        let mut entries = Entries::default();
        entries.exec(Who { pid: root, tid: root, at: now }, process::comm(root, root));
        let image = Item::Image { pid: root, seen: process::read(root), root: Root::of(root) };
        vec![image, Item::Events(entries.into_bytes())]
    }
}
