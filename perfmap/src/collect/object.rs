//! The committed BPF object: loaded, its programs attached, its maps handed out.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
    thread,
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::Program,
};
use perfmap_common as wire;
use perfmap_common::Plain;

use super::{
    CollectError, Mode, Plan, allocators,
    allocators::Allocators,
    pid_namespace,
    probes::{ADOPTION, PROBES, When, attach, run_once},
    tls_functions::ProbePoints,
    tls_multi::{Kind, Maps, MultiProgram, Point},
    tls_probes::{PROGRAM, Probes},
};
use crate::{
    recording::{Loss, Losses, Nanos},
    target::capabilities::raised,
};

/// Built by `cargo xtask build-ebpf` and committed, so that nobody needs clang to build perfmap.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../perfmap-ebpf/perfmap.bpf.o"));

/// What each counter of the kernel side is called in a recording.
pub const SLOTS: [(wire::LossSlot, Loss); wire::LOSS_SLOTS] = [
    (wire::LossSlot::RingSample, Loss::RingFullSample),
    (wire::LossSlot::RingWait, Loss::RingFullWait),
    (wire::LossSlot::RingMessage, Loss::RingFullMessage),
    (wire::LossSlot::RingTask, Loss::RingFullTask),
    (wire::LossSlot::RingFile, Loss::RingFullFile),
    (wire::LossSlot::RingPython, Loss::RingFullPython),
    (wire::LossSlot::TaskStorage, Loss::NoTaskStorage),
    (wire::LossSlot::PythonUnreadable, Loss::PythonUnreadable),
    (wire::LossSlot::SiteTable, Loss::SiteTableFull),
    (wire::LossSlot::PayloadUnreadable, Loss::PayloadUnreadable),
    (wire::LossSlot::RingMemory, Loss::RingFullMemory),
    (wire::LossSlot::WakeUnseen, Loss::WakeUnseen),
    (wire::LossSlot::SwitchUnseen, Loss::SwitchUnseen),
];

/// The loaded object with its attached programs. Dropping it detaches everything.
pub struct Object {
    ebpf: Ebpf,
    pub live: Live,
    /// Those in TLS libraries; else why there are no programs for them.
    tls: Result<Probes, String>,
    /// Those at allocators, where they are asked for.
    pub allocators: Option<Allocators>,
    /// What is not known for want of a program, and why: for the report.
    pub missing: Vec<String>,
}

impl Object {
    /// Loads and attaches what `plan` needs.
    pub fn load(plan: &Plan, cpus: &[usize]) -> Result<Object, CollectError> {
        let counting = plan.mode == Mode::Count;
        let settings = wire::Settings {
            wait_threshold_ns: plan.wait_threshold.0,
            short_waits_every_ns: 10_000_000,
            file_io_every_ns: 10_000_000,
            counting_only: counting.into(),
            follow: plan.peers.kernel(plan.mode) as u32,
            pid_namespace: pid_namespace::setting(),
            lose_arrivals: plan.lose_arrivals,
        };
        let btf = kernel_types()?;
        let mut ebpf = open(settings)?;
        let maps = Maps::of(&ebpf);
        let map = ebpf.take_map("live").ok_or_else(|| no_map("live"))?;
        let live =
            Array::try_from(map).map_err(|error| CollectError::Load { what: "live".into(), why: error.to_string() })?;
        let mut live = Live(live);
        live.set(&first(plan))?;
        let mut missing = Vec::new();
        // The kernel's look at the program of the TLS probes takes nearly as long as that at all others: both at once.
        let multi = thread::scope(|scope| {
            let beside = maps.as_ref().ok().filter(|_| !plan.single_probes).map(|maps| {
                let btf = &btf;
                scope.spawn(move || MultiProgram::load(OBJECT, PROGRAM, Kind::Plain, maps, btf).ok())
            });
            for probe in PROBES.iter().filter(|probe| probe.when == When::Always || !counting) {
                match attach(&mut ebpf, probe, &btf, plan.sample_hz, cpus) {
                    Err(error) if !probe.is_required() => missing.push(format!("no {}: {error}", probe.gives)),
                    attached => attached?,
                }
            }
            Ok::<_, CollectError>(beside.and_then(|thread| thread.join().ok().flatten()))
        })?;
        let maps = maps.map_err(|error| error.to_string());
        let tls = match &maps {
            _ if plan.single_probes => Probes::load_single(&mut ebpf),
            Ok(_) => Probes::with(&mut ebpf, multi),
            Err(why) => Err(why.clone()),
        };
        let single = plan.single_probes;
        let allocators = plan.allocations.as_ref().map(|plan| Allocators::new(plan, OBJECT, &maps, &btf, single));
        Ok(Object { ebpf, live, tls, allocators, missing })
    }

    /// Sets the probes of some functions of a TLS library; else the reason.
    pub fn probe_tls(&mut self, file: &fs::File, functions: &[&ProbePoints]) -> Result<(), String> {
        let probes = self.tls.as_mut().map_err(|why| why.clone())?;
        probes.set(&mut self.ebpf, file, functions)
    }

    /// Sets probes where an event loop's library is asked for something; else the reason.
    pub fn probe_asks(&mut self, file: &fs::File, points: &[Point]) -> Result<(), String> {
        let probes = self.tls.as_mut().map_err(|why| why.clone())?;
        probes.set_points(&mut self.ebpf, file, points)
    }

    pub fn ring(&mut self) -> Result<RingBuf<MapData>, CollectError> {
        let map = self.ebpf.take_map("events").ok_or_else(|| no_map("events"))?;
        RingBuf::try_from(map).map_err(|error| CollectError::Load { what: "events".into(), why: error.to_string() })
    }

    pub fn roots(&mut self) -> Result<HashMap<MapData, u32, u32>, CollectError> {
        let map = self.ebpf.take_map("roots").ok_or_else(|| no_map("roots"))?;
        HashMap::try_from(map).map_err(|error| CollectError::Load { what: "roots".into(), why: error.to_string() })
    }

    pub fn python_processes(&mut self) -> Result<PythonProcesses, CollectError> {
        let map = self.ebpf.take_map("python_processes").ok_or_else(|| no_map("python_processes"))?;
        HashMap::try_from(map)
            .map(PythonProcesses)
            .map_err(|error| CollectError::Load { what: "python_processes".into(), why: error.to_string() })
    }

    pub fn go_processes(&mut self) -> Result<GoProcesses, CollectError> {
        let map = self.ebpf.take_map("go_processes").ok_or_else(|| no_map("go_processes"))?;
        HashMap::try_from(map)
            .map(GoProcesses)
            .map_err(|error| CollectError::Load { what: "go_processes".into(), why: error.to_string() })
    }

    pub fn verdicts(&mut self) -> Result<Verdicts, CollectError> {
        let map = self.ebpf.take_map("verdicts").ok_or_else(|| no_map("verdicts"))?;
        HashMap::try_from(map)
            .map(Verdicts)
            .map_err(|error| CollectError::Load { what: "verdicts".into(), why: error.to_string() })
    }

    /// Ends the recording: no record comes after this but those of tasks that live on, which are written now; the maps
    /// stay readable.
    pub fn stop(&mut self) {
        if let Ok(probes) = &mut self.tls {
            probes.end();
        }
        if let Some(allocators) = &mut self.allocators {
            allocators.end();
        }
        for (_, program) in self.ebpf.programs_mut() {
            match program {
                // One that was not loaded has nothing to detach.
                Program::BtfTracePoint(program) => {
                    let _ = program.unload();
                }
                Program::FExit(program) => {
                    let _ = program.unload();
                }
                Program::PerfEvent(program) => {
                    let _ = program.unload();
                }
                _ => {}
            }
        }
        for (name, program) in self.ebpf.programs_mut() {
            if let Program::Iter(iterator) = program
                && name != ADOPTION
            {
                let _ = run_once(iterator); // without it the survivors' last waits are missing, nothing else
            }
        }
    }

    /// Follows all threads of the processes that are marked as followed.
    pub fn adopt(&mut self) -> Result<(), CollectError> {
        let fail = |why: String| CollectError::Load { what: ADOPTION.into(), why };
        match self.ebpf.program_mut(ADOPTION) {
            Some(Program::Iter(iterator)) => raised(|| run_once(iterator)).map_err(|error| fail(error.to_string())),
            Some(_) | None => Err(fail("not in the object".into())),
        }
    }

    pub fn outsiders(&mut self) -> Result<Outsiders, CollectError> {
        let map = self.ebpf.take_map("outsiders").ok_or_else(|| no_map("outsiders"))?;
        HashMap::try_from(map)
            .map(Outsiders)
            .map_err(|error| CollectError::Load { what: "outsiders".into(), why: error.to_string() })
    }

    pub fn far_ends(&mut self) -> Result<FarEnds, CollectError> {
        let map = self.ebpf.take_map("far_ends").ok_or_else(|| no_map("far_ends"))?;
        HashMap::try_from(map)
            .map(FarEnds)
            .map_err(|error| CollectError::Load { what: "far_ends".into(), why: error.to_string() })
    }

    /// Sums of sockets that are still open: (cookie, sums).
    pub fn socket_sums(&self) -> Vec<(u64, wire::SocketSums)> {
        let maps = ["sockets", "endless_sockets"].into_iter().filter_map(|name| self.ebpf.map(name));
        let mut sums: Vec<_> = maps
            .filter_map(|map| HashMap::<_, u64, [u8; size_of::<wire::SocketSums>()]>::try_from(map).ok())
            .flat_map(|sockets| sockets.iter().filter_map(Result::ok).collect::<Vec<_>>())
            .filter_map(|(cookie, bytes)| wire::SocketSums::read(&bytes).map(|sums| (cookie, sums)))
            .collect();
        sums.sort_by_key(|(cookie, _)| *cookie);
        sums
    }

    /// Of all CPUs.
    pub fn allocation_totals(&self) -> wire::AllocationTotals {
        const BYTES: usize = size_of::<wire::AllocationTotals>();
        let map = self.ebpf.map("allocation_totals").and_then(|map| PerCpuArray::<_, [u8; BYTES]>::try_from(map).ok());
        let values = map.and_then(|map| map.get(&0, 0).ok());
        let of_cpus =
            values.iter().flat_map(|values| values.iter()).filter_map(|bytes| wire::AllocationTotals::read(bytes));
        of_cpus.fold(wire::AllocationTotals::default(), |sum, one| wire::AllocationTotals {
            calls: sum.calls.saturating_add(one.calls),
            bytes: sum.bytes.saturating_add(one.bytes),
            frees: sum.frees.saturating_add(one.frees),
            lost: sum.lost.saturating_add(one.lost),
            lost_frees: sum.lost_frees.saturating_add(one.lost_frees),
        })
    }

    /// What the kernel side could not keep.
    pub fn losses(&self) -> Losses {
        let mut losses = Losses::default();
        let counters = self.ebpf.map("losses").and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok());
        if let Some(counters) = counters {
            for (slot, kind) in SLOTS {
                if let Ok(values) = counters.get(&(slot as u32), 0) {
                    losses.add(kind, values.iter().sum());
                }
            }
        }
        losses
    }

    /// Run time of our programs so far: (program, runs, total), from /proc/self/fdinfo. It grows only while the kernel's
    /// statistics are on.
    pub fn cost(&self) -> Vec<(String, u64, Nanos)> {
        let loaded = self.ebpf.programs().filter_map(|(name, program)| Some((name, program.fd().ok()?.as_fd())));
        let of_tls = self.tls.as_ref().ok().and_then(Probes::program).map(|program| (PROGRAM, program));
        let allocators = self.allocators.as_ref().and_then(Allocators::descriptor);
        let of_allocators = allocators.map(|program| (allocators::PROGRAM, program.as_fd()));
        let mut cost: Vec<_> = loaded
            .chain(of_tls)
            .chain(of_allocators)
            .filter_map(|(name, descriptor)| {
                let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).ok()?;
                let value =
                    |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
                Some((name.to_owned(), value("run_cnt:")?, Nanos(value("run_time_ns:")?)))
            })
            .filter(|(_, runs, _)| *runs > 0)
            .collect();
        cost.sort();
        cost
    }
}

/// The limits that may change while the target runs.
pub struct Live(Array<MapData, [u8; size_of::<wire::LiveSettings>()]>);

impl Live {
    /// In force from the next event on.
    pub fn set(&mut self, settings: &wire::LiveSettings) -> Result<(), CollectError> {
        let fail = |why: String| CollectError::Load { what: "live".into(), why };
        let bytes: [u8; size_of::<wire::LiveSettings>()] =
            settings.as_bytes().try_into().map_err(|_| fail("wrong size".into()))?;
        self.0.set(0, bytes, 0).map_err(|error| fail(error.to_string()))
    }
}

/// What `plan` asks for, nothing thinned.
pub fn first(plan: &Plan) -> wire::LiveSettings {
    wire::LiveSettings {
        wait_threshold_ns: plan.wait_threshold.0,
        payload_bytes: wire::MAX_PAYLOAD_BYTES as u32,
        stack_bytes: plan.stack_bytes.min(wire::MAX_STACK_BYTES as u32),
        turn_every: 1,
        sample_every: 1,
    }
}

/// Layouts of the interpreters of followed processes, key pid.
pub struct PythonProcesses(HashMap<MapData, u32, [u8; size_of::<wire::PythonLayout>()]>);

impl PythonProcesses {
    /// False when the table is full or the process is gone.
    pub fn insert(&mut self, pid: u32, layout: &wire::PythonLayout) -> bool {
        let Ok(bytes) = layout.as_bytes().try_into() else { return false };
        let bytes: [u8; size_of::<wire::PythonLayout>()] = bytes;
        self.0.insert(pid, bytes, 0).is_ok()
    }
}

/// Where the goroutines of followed programs lie, key pid.
pub struct GoProcesses(HashMap<MapData, u32, [u8; size_of::<wire::GoLayout>()]>);

impl GoProcesses {
    /// False when the table is full.
    pub fn insert(&mut self, pid: u32, layout: &wire::GoLayout) -> bool {
        let Ok(bytes) = layout.as_bytes().try_into() else { return false };
        let bytes: [u8; size_of::<wire::GoLayout>()] = bytes;
        self.0.insert(pid, bytes, 0).is_ok()
    }
}

/// What is decided about processes that ran already, key pid.
pub struct Outsiders(HashMap<MapData, u32, u32>);

impl Outsiders {
    /// False when the table is full.
    pub fn set(&mut self, pid: u32, verdict: wire::Verdict) -> bool {
        self.0.insert(pid, verdict as u32, 0).is_ok()
    }
}

/// Ends of connections whose users are peers.
pub struct FarEnds(HashMap<MapData, [u8; size_of::<wire::FarEnd>()], u32>);

impl FarEnds {
    /// False when the kernel refused it.
    pub fn insert(&mut self, end: &wire::FarEnd) -> bool {
        let Ok(bytes) = end.as_bytes().try_into() else { return false };
        let bytes: [u8; size_of::<wire::FarEnd>()] = bytes;
        self.0.insert(bytes, 1, 0).is_ok()
    }
}

/// What connections carry that the kernel side does not see by itself, key cookie.
pub struct Verdicts(HashMap<MapData, u64, u32>);

impl Verdicts {
    /// Untold, the kernel side sends too much or stops too early: then counts say that they may be low.
    pub fn tell(&mut self, cookie: u64, verdict: u32) {
        let _ = self.0.insert(cookie, verdict, 0);
    }
}

/// Without them the programs cannot be fitted to the kernel's structures.
pub(super) fn kernel_types() -> Result<Btf, CollectError> {
    Btf::from_sys_fs().map_err(|error| CollectError::Unsupported {
        what: format!("it does not describe its types (BTF) in /sys/kernel/btf/vmlinux: {error}"),
    })
}

pub(super) fn open(settings: wire::Settings) -> Result<Ebpf, CollectError> {
    let bytes: [u8; size_of::<wire::Settings>()] = settings
        .as_bytes()
        .try_into()
        .map_err(|_| CollectError::Load { what: "settings".into(), why: "wrong size".into() })?;
    EbpfLoader::new()
        // Task storage is made and used in the kernel alone; aya has no typed access to it.
        .allow_unsupported_maps()
        .override_global("settings", &bytes, true)
        .load(OBJECT)
        .map_err(|error| CollectError::from_load("the BPF object", &error))
}

fn no_map(name: &str) -> CollectError {
    CollectError::Load { what: name.into(), why: "not in the object".into() }
}
