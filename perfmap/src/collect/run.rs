//! The first thread: releases the target, empties the kernel's buffers every few milliseconds, looks after the target,
//! and stops when its root process is gone. Asynchronous only here: timers and the end of the target.

use std::{collections::BTreeSet, thread, time::Duration};

use aya::maps::{MapData, RingBuf};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use perfmap_common as wire;
use perfmap_common::Plain;
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    CollectError, Control, Mode, Outcome, Plan, Progress, PythonBy,
    adopt::Adoption,
    allocators,
    clock::{children_cpu, monotonic_ns, own_cpu},
    fallback::Fallback,
    go_programs::GoPrograms,
    gpu::GpuWatch,
    item::Item,
    mappings::{Change, Mappings},
    memory::MemoryWatch,
    object::{self, Object},
    online_cpus,
    overload::{Passing, Watch},
    pid_namespace,
    pressure::Reading,
    privileges, process,
    python_programs::{self, PythonPrograms, SEARCH_NS},
    recorder::Recorder,
    runtime_notes,
    tls_libraries::TlsLibraries,
    tls_notes,
};
use crate::{
    recording::{
        Ending, Ends, Loss, Losses, Meta, Nanos, Process, ProcessId, Recording, Socket, TaskId, Thinned, Translation,
    },
    target::{Held, LaunchError, Remote, Running},
    unwind::{
        KernelSymbols, ModuleFiles, Root,
        python::{Discoverer, worth_a_look},
    },
};

const TICK: Duration = Duration::from_millis(10);
/// At the start and after an execve: an interpreter or a runtime is to be found before it has run far.
const BUSY_TICK: Duration = Duration::from_millis(2);
/// A batch ends when it is this large; with `CHANNEL` of them under way, memory stays bounded, and what the other
/// thread cannot follow is lost in the ring, where it is counted.
const BATCH_BYTES: usize = 1 << 20;
const CHANNEL: usize = 16;
/// Batches of one go: a target that never pauses must not keep us from looking after it.
const ROUNDS: usize = 16;

/// Asked about every 10 ms; may signal the target.
pub type Controller<'a> = dyn FnMut(&Progress, &Remote) -> Control + 'a;

/// Runs what `launch` makes under the probes of `plan`. It is launched only when all is ready: a process's life, and
/// what it measures of itself, begins at its fork.
pub fn run(
    plan: &Plan,
    launch: impl FnOnce() -> Result<Held, LaunchError>,
    control: &mut Controller<'_>,
) -> Result<Outcome, CollectError> {
    begin(plan, Some(launch), &mut |progress, remote| {
        remote.map_or(Control::Continue, |remote| control(progress, remote))
    })
}

/// Watches the processes in `plan.peers.watched`, with their children, until `control` ends it or all are gone.
pub fn attach(plan: &Plan, control: &mut dyn FnMut(&Progress) -> Control) -> Result<Outcome, CollectError> {
    let nothing = None::<fn() -> Result<Held, LaunchError>>;
    let mut outcome = begin(plan, nothing, &mut |progress, _| control(progress))?;
    outcome.recording.meta = Meta { attached: true, interrupted: false, ..outcome.recording.meta };
    Ok(outcome)
}

/// There is a remote where a command was launched.
type AnyController<'a> = dyn FnMut(&Progress, Option<&Remote>) -> Control + 'a;

fn begin(
    plan: &Plan,
    launch: Option<impl FnOnce() -> Result<Held, LaunchError>>,
    control: &mut AnyController<'_>,
) -> Result<Outcome, CollectError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .build()
        .map_err(|error| CollectError::Recorder(error.to_string()))?;
    runtime.block_on(collect(plan, launch, control))
}

async fn collect(
    plan: &Plan,
    launch: Option<impl FnOnce() -> Result<Held, LaunchError>>,
    control: &mut AnyController<'_>,
) -> Result<Outcome, CollectError> {
    if pid_namespace::is_proc_foreign() {
        return Err(CollectError::ForeignProc);
    }
    let cpus = online_cpus();
    let mut object = Object::load(plan, &cpus).map_err(CollectError::before_launch)?;
    let mappings = match (plan.mode, Mappings::open(&cpus)) {
        (_, Ok(mappings)) => Some(mappings),
        (Mode::Profile, Err(error)) => return Err(CollectError::from_load("memory mappings", &error)),
        // Round trips in TLS are then inferred.
        (Mode::Count, Err(_)) => None,
    };
    let mut libraries = TlsLibraries::with(&plan.tls_libraries, &mut object);
    let (sender, receiver) = bounded::<Item>(CHANNEL);
    let mut feed = Feed {
        ring: object.ring()?,
        mappings,
        python: PythonPrograms::new(
            Some(object.python_processes()?),
            if plan.mode == Mode::Profile { plan.python } else { PythonBy::Off },
            Fallback::default(),
        ),
        go: GoPrograms::new(object.go_processes()?, plan.mode == Mode::Profile),
        adoption: Adoption::new(&mut object, plan)?,
        sender,
        alive: BTreeSet::new(),
        unreadable: BTreeSet::new(),
        passing: Passing::default(),
        mapped: Vec::new(),
        counting: plan.mode == Mode::Count,
        events: 0,
    };
    let verdicts = object.verdicts()?;
    let kernel_symbols: Option<KernelSymbols> =
        (plan.mode == Mode::Profile).then(|| KernelSymbols::read().ok()).flatten();
    let names_known = kernel_symbols.is_some();
    let mut roots = object.roots()?;
    let cpu_before = children_cpu();

    let held = launch.map(|launch| launch()).transpose()?;
    let (root, remote) = (held.as_ref().map(Held::pid), held.as_ref().map(Held::remote));
    if let Some(root) = root {
        roots
            .insert(root, 1, 0)
            .map_err(|error| CollectError::Load { what: "roots".into(), why: error.to_string() })?;
        feed.alive.insert(root);
        if let Some(allocators) = &mut object.allocators {
            allocators.link(root);
        }
    }
    let origin = monotonic_ns();
    let detail = plan.detail;
    let recorder = thread::Builder::new()
        .name("recorder".into())
        .spawn(move || {
            privileges::only_reading();
            let mut recorder = Recorder::new(origin, root, kernel_symbols, Some(verdicts), detail);
            for item in receiver {
                recorder.accept(item);
            }
            recorder
        })
        .map_err(|error| CollectError::Recorder(error.to_string()))?;
    // Every mapped file is kept open; the target was made before, so its own limit is as it was.
    let _limit = DescriptorLimit::raise();
    feed.adopt(&mut object, true)?;
    let mut discoverer = Discoverer::default();
    feed.go.know(&plan.tls_libraries);
    feed.probe(&mut libraries, &mut object)?;
    // What is attached later is raised for that step.
    let lowered = privileges::while_watching(|| object.live.set(&object::first(plan)).is_ok());
    let surroundings = (plan.mode == Mode::Profile).then(Reading::take);
    let mut watch = Watch::new(plan, &object, origin);
    let mut running = held.map(Held::release).transpose()?;
    let mut memory = MemoryWatch::default();
    let mut gpu = GpuWatch::default();
    let mut aborted = false;
    let ending = loop {
        let busy = feed.drain()?;
        let busy = feed.find(&mut discoverer)? || busy;
        watch.tick(monotonic_ns(), &mut object, &mut feed.passing, &feed.alive)?;
        if let Some(allocators) = &mut object.allocators {
            allocators.tick(&feed.mapped, &feed.alive, monotonic_ns().saturating_sub(origin));
        }
        feed.probe(&mut libraries, &mut object)?;
        feed.adopt(&mut object, false)?;
        if plan.mode == Mode::Count {
            memory.tick(monotonic_ns(), &feed.alive);
        }
        let now = monotonic_ns();
        gpu.tick(now, Nanos(now.saturating_sub(origin)), &feed.alive);
        match &mut running {
            Some(running) => {
                if let Some(ending) = ended(running)? {
                    break Some(ending);
                }
            }
            None if feed.adoption.all_gone(&feed.alive) => break None,
            None => {}
        }
        let elapsed = Nanos(monotonic_ns().saturating_sub(origin));
        let progress = Progress { elapsed, events: feed.events, processes: feed.alive.len() as u32 };
        if control(&progress, remote.as_ref()) == Control::Abort {
            aborted = true;
            break None;
        }
        let young = elapsed.0 < SEARCH_NS;
        pause(running.as_ref(), if busy || young { BUSY_TICK } else { TICK }).await;
    };
    let stopped = Nanos(monotonic_ns().saturating_sub(origin));
    let environment = surroundings.map(|before| Reading::take().since(&before, stopped)).unwrap_or_default();
    let (cost, thinned) = watch.finish(monotonic_ns(), &object);
    drop(lowered);
    // Before the last look at the maps: what a survivor still did would be counted twice.
    feed.beside(|| object.stop())?;
    feed.drain_all()?;
    let _ = feed.sender.send(Item::OpenSockets(object.socket_sums()));
    let totals = object.allocation_totals();
    let allocators = object.allocators.as_ref().map(|allocators| (allocators.hindrance(), allocators.coverage()));
    let missing = std::mem::take(&mut object.missing);
    let mut losses = object.losses();
    losses.add(Loss::NoTaskStorage, feed.adoption.refused);
    let lost_mappings = feed.mappings.as_ref().map_or(0, |mappings| mappings.lost);
    // The programs go with their object, the recorder ends with the channel.
    drop(object);
    let peers = std::mem::take(&mut feed.adoption.found);
    let translations = feed.adoption.take_translations();
    // The recorder ends with the channel.
    let Feed { go, python, sender, unreadable, .. } = feed;
    let python = python.finish();
    drop(sender);
    let mut recorder = recorder.join().map_err(|_| CollectError::Recorder("its thread panicked".into()))?;
    let by_stack = recorder.take_allocations();
    let allocations = allocators.map(|(hindrance, coverage)| allocators::told(hindrance, coverage, totals, by_stack));
    let (mut recording, files) = finish(recorder, losses, lost_mappings);
    let tree_cpu = children_cpu().since(cpu_before).since(python.readers_cpu());
    let before = recording.earlier.length;
    let stopped = stopped.since(before);
    let thinned = thinned.into_iter().map(|step| Thinned { at: step.at.since(before), ..step }).collect();
    let meta = meta(plan, &recording, ending, aborted, stopped, cost, cpus.len() as u32, tree_cpu);
    recording.meta = Meta { thinned, own_cpu: meta.own_cpu.plus(python.readers_cpu()), ..meta };
    recording.gpu = gpu.into_seen();
    recording.environment = environment;
    recording.translations = of_sockets(translations, &recording.sockets);
    recording.meta.notes = tls_notes::notes(&recording, |pid| libraries.of_process(pid));
    recording.meta.notes.extend(missing);
    let wall = recording.meta.wall;
    if plan.mode == Mode::Profile {
        let costs_known = !recording.meta.bpf_cost.is_empty();
        recording.meta.notes.extend(privileges::notes(names_known, costs_known, unreadable.len()));
    }
    let of_go = go.notes(&recording, wall);
    recording.meta.notes.extend(of_go);
    let of_python = python.notes(&recording, wall);
    recording.meta.notes.extend(of_python);
    let of_runtimes = runtime_notes::notes(&recording);
    recording.meta.notes.extend(of_runtimes);
    let origin = Nanos(origin).plus(before);
    Ok(Outcome {
        recording,
        origin,
        files,
        memory: memory.curve(),
        peers,
        tls_libraries: libraries.into_used(),
        allocations,
    })
}

/// Those of connections that were seen.
fn of_sockets(mut translations: Vec<Translation>, sockets: &[Socket]) -> Vec<Translation> {
    let ends = sockets.iter().filter_map(|socket| Some(Ends { local: socket.local?, remote: socket.remote? }));
    let seen: BTreeSet<Ends> = ends.collect();
    translations.retain(|one| seen.contains(&one.client) || seen.contains(&one.server));
    translations
}

fn finish(recorder: Recorder, mut losses: Losses, lost_mappings: u64) -> (Recording, ModuleFiles) {
    losses.add(crate::recording::Loss::MappingLost, lost_mappings);
    recorder.finish(&losses)
}

#[expect(clippy::too_many_arguments, reason = "each is one fact about the run, used once")]
fn meta(
    plan: &Plan,
    recording: &Recording,
    ending: Option<Ending>,
    interrupted: bool,
    stopped: Nanos,
    bpf_cost: Vec<(String, u64, Nanos)>,
    cpus: u32,
    tree_cpu: Nanos,
) -> Meta {
    let root = recording.processes.first().filter(|_| plan.peers.watched.is_empty());
    let own =
        |(index, process): (usize, &Process)| (!recording.is_outside(ProcessId(index as u32))).then_some(process.cpu);
    let ended: Nanos = recording.processes.iter().enumerate().filter_map(own).sum();
    Meta {
        backend: "ebpf".into(),
        kernel: nix::sys::utsname::uname()
            .map(|name| name.release().to_string_lossy().into_owned())
            .unwrap_or_default(),
        sample_hz: plan.sample_hz,
        wait_threshold: plan.wait_threshold,
        cpus,
        root: root.filter(|_| !recording.tasks.is_empty()).map(|_| TaskId(0)),
        wall: root.and_then(|process| process.died).unwrap_or(stopped),
        ending,
        interrupted,
        bpf_cost,
        own_cpu: own_cpu(),
        tree_cpu: tree_cpu.max(ended),
        outside: recording.meta.outside.clone(),
        own_surroundings: recording.meta.own_surroundings,
        ..Meta::default()
    }
}

fn ended(running: &mut Running) -> Result<Option<Ending>, CollectError> {
    running.try_wait().map_err(|error| CollectError::Recorder(format!("waiting for the target: {error}")))
}

/// Until the target ends or the time is over.
async fn pause(running: Option<&Running>, time: Duration) {
    let Some(running) = running else { return tokio::time::sleep(time).await };
    // SAFETY: the descriptor is borrowed from `running`, which outlives the registration at the end of this function.
    match unsafe { AsyncFd::register_with_interest(running.pidfd(), Interest::READABLE) } {
        Ok(end) => {
            let _ = tokio::time::timeout(time, end.readable()).await;
        }
        Err(_) => tokio::time::sleep(time).await,
    }
}

/// The kernel's buffers, and where their contents go.
struct Feed {
    ring: RingBuf<MapData>,
    mappings: Option<Mappings>,
    python: PythonPrograms,
    go: GoPrograms,
    adoption: Adoption,
    sender: Sender<Item>,
    alive: BTreeSet<u32>,
    /// Alive when they were to be read, and closed to us.
    unreadable: BTreeSet<u32>,
    passing: Passing,
    /// Not yet looked through for TLS libraries.
    mapped: Vec<Change>,
    /// The recorder then has no use for mappings.
    counting: bool,
    events: u64,
}

impl Feed {
    /// Empties the buffers; true while Go's goroutines are looked for.
    fn drain(&mut self) -> Result<bool, CollectError> {
        for _ in 0..ROUNDS {
            if self.batch()? < BATCH_BYTES {
                break;
            }
        }
        self.go.tick(monotonic_ns(), &self.sender)
    }

    /// Empties the buffers to the last record: nothing writes any more.
    fn drain_all(&mut self) -> Result<(), CollectError> {
        while self.batch()? >= BATCH_BYTES {}
        self.drain().map(drop)
    }

    /// Does what takes its time in a thread of its own, and empties the buffers meanwhile: a program with many symbols is
    /// read, and probes are attached to it, for longer than the ring lasts.
    fn beside(&mut self, work: impl FnOnce() + Send) -> Result<(), CollectError> {
        let (over, is_over) = bounded::<()>(0);
        thread::scope(|scope| {
            let work = thread::Builder::new().name("attacher".into()).spawn_scoped(scope, move || {
                work();
                drop(over);
            });
            let work = work.map_err(|error| CollectError::Recorder(error.to_string()))?;
            // Nothing is ever sent: it disconnects, also where the work panics.
            while is_over.recv_timeout(BUSY_TICK) == Err(RecvTimeoutError::Timeout) {
                self.drain()?;
            }
            work.join().map_err(|_| CollectError::Recorder("its attaching thread panicked".into()))
        })
    }

    /// Looks for interpreters in programs that were executed; true while one is looked for.
    fn find(&mut self, discoverer: &mut Discoverer) -> Result<bool, CollectError> {
        let wanted = self.python.wanted();
        if wanted.is_empty() {
            return Ok(false);
        }
        let mut looked = Vec::new();
        self.beside(|| looked = python_programs::look(discoverer, wanted))?;
        // After the events: the execve that started one is among them, and it ends what was known.
        self.python.tell(looked, monotonic_ns(), &self.sender)
    }

    /// Probes the libraries among what was mapped since the last call.
    fn probe(&mut self, libraries: &mut TlsLibraries, object: &mut Object) -> Result<(), CollectError> {
        let mapped = libraries.claim(std::mem::take(&mut self.mapped), |pid| self.alive.contains(&pid));
        let adopted = std::mem::take(&mut self.adoption.mapped);
        if mapped.is_empty() && adopted.is_empty() {
            return Ok(());
        }
        self.beside(|| libraries.mapped(mapped, adopted, object))
    }

    /// Brings in services that ran already: those of an earlier run at the beginning, later those that were met.
    fn adopt(&mut self, object: &mut Object, beginning: bool) -> Result<(), CollectError> {
        let adopted = match beginning {
            true => self.adoption.begin(object, &self.sender)?,
            false => self.adoption.tick(object, &self.alive, &self.sender)?,
        };
        for pid in adopted {
            self.alive.insert(pid);
            self.python.search(pid, monotonic_ns());
            self.go.search(pid, monotonic_ns());
        }
        Ok(())
    }

    /// Sends one batch and returns its size. The ring first: what the mappings' buffers then hold is at least as new as
    /// the ring's last event.
    fn batch(&mut self) -> Result<usize, CollectError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_BYTES
            && let Some(entry) = self.ring.next()
        {
            batch.extend_from_slice(&(entry.len() as u32).to_ne_bytes());
            batch.extend_from_slice(&entry);
            self.events += 1;
            let Some(header) = wire::Header::read(&entry) else { continue };
            let Some(kind) = wire::Kind::from_u32(header.kind) else { continue };
            self.passing.see(kind, &entry);
            let runtimes = (&mut self.python, &mut self.go);
            peek(
                kind,
                &header,
                &entry,
                (&mut self.alive, &mut self.unreadable),
                runtimes,
                &mut self.adoption,
                &self.sender,
            )?;
        }
        if let Some(mappings) = &mut self.mappings {
            let changes = mappings.drain();
            for change in &changes {
                if let super::mappings::What::Mapped { path, .. } = &change.what
                    && self.alive.contains(&change.pid)
                    && worth_a_look(&String::from_utf8_lossy(path))
                {
                    self.python.search(change.pid, monotonic_ns());
                }
            }
            if !self.counting {
                send(&self.sender, Item::Changes(changes.clone()))?;
            }
            self.mapped.extend(changes);
        }
        let size = batch.len();
        if size > 0 {
            send(&self.sender, Item::Events(batch))?;
        }
        Ok(size)
    }
}

/// What cannot wait for the other thread: a process that was just started may be gone in a moment.
fn peek(
    kind: wire::Kind,
    header: &wire::Header,
    entry: &[u8],
    (alive, unreadable): (&mut BTreeSet<u32>, &mut BTreeSet<u32>),
    (python, go): (&mut PythonPrograms, &mut GoPrograms),
    adoption: &mut Adoption,
    sender: &Sender<Item>,
) -> Result<(), CollectError> {
    match kind {
        wire::Kind::Fork => {
            if let Some(fork) = wire::Fork::read(entry) {
                alive.insert(fork.child_pid);
                if fork.child_pid != header.pid {
                    python.forked(header.pid, fork.child_pid, header.at);
                }
            }
        }
        wire::Kind::Exec => {
            alive.insert(header.pid);
            let (seen, root) = (process::read(header.pid), Root::of(header.pid));
            if root.is_none() && process::stat(header.pid).is_some_and(|stat| stat.state != 'Z') {
                unreadable.insert(header.pid);
            }
            send(sender, Item::Image { pid: header.pid, seen, root })?;
            python.executed(header.pid, header.at);
            go.search(header.pid, header.at);
        }
        // Of a thread only its name is known; the title is the process's.
        wire::Kind::Rename if header.pid == header.tid => {
            send(sender, Item::Title { pid: header.pid, title: process::title(header.pid) })?;
        }
        wire::Kind::Exit if wire::Exit::read(entry).is_some_and(|exit| exit.alive == 0) => {
            alive.remove(&header.pid);
            adoption.ended(header.pid);
            python.ended(header.pid);
            go.ended(header.pid);
        }
        wire::Kind::Adopt if adoption.met(header.pid, header.at, sender)? => {
            alive.insert(header.pid);
            python.search(header.pid, header.at);
            go.search(header.pid, header.at);
        }
        wire::Kind::Peer => adoption.announced(header.pid),
        _ => {}
    }
    Ok(())
}

/// Our limit of open files at its maximum; put back when dropped, because later targets would inherit it.
pub(super) struct DescriptorLimit(Option<(u64, u64)>);

impl DescriptorLimit {
    pub(super) fn raise() -> DescriptorLimit {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok();
        let raised = before.filter(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, *hard, *hard).is_ok());
        DescriptorLimit(raised)
    }
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        use nix::sys::resource::{Resource, setrlimit};
        if let Some((soft, hard)) = self.0 {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard); // lowering a soft limit cannot fail
        }
    }
}

pub(super) fn send(sender: &Sender<Item>, item: Item) -> Result<(), CollectError> {
    sender.send(item).map_err(|_| CollectError::Recorder("its thread is gone".into()))
}
