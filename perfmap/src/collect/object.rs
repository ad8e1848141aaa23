//! The committed BPF object: loaded, its programs attached by one visible table, its maps handed out.

use std::{
    fs,
    io::Read,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::{
        BtfTracePoint, Iter, PerfEvent, Program,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};
use perfmap_common as wire;
use perfmap_common::Plain;

use super::{CollectError, Mode, Plan, tls_functions::ProbePoints, tls_multi::Maps, tls_probes, tls_probes::Probes};
use crate::recording::{Loss, Losses, Nanos};

/// Built by `cargo xtask build-ebpf` and committed, so that nobody needs clang to build perfmap.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../perfmap-ebpf/perfmap.bpf.o"));

const ADOPTION: &str = "on_adopt";

/// When a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Not in counting runs.
    Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attach {
    /// A BTF-typed tracepoint of this name.
    Tracepoint(&'static str),
    /// The sampling clock of every CPU.
    CpuClock,
    /// Run once over all tasks, at the end of the recording.
    TaskIterator,
    /// Functions of TLS libraries, set when these are mapped. Without it perfmap does with less.
    Functions,
    /// Run over all tasks whenever more processes are to be followed.
    Adoption,
}

/// One program of the object.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub program: &'static str,
    attach: Attach,
    when: When,
    /// What is missing from the map without it.
    pub gives: &'static str,
}

/// Exit, exec and fork come first: the target is followed only once all three are there.
pub const PROBES: [Probe; 17] = [
    Probe {
        program: "on_exit",
        attach: Attach::Tracepoint("sched_process_exit"),
        when: When::Always,
        gives: "ends of processes and threads",
    },
    Probe {
        program: "on_exec",
        attach: Attach::Tracepoint("sched_process_exec"),
        when: When::Always,
        gives: "programs that are started",
    },
    Probe {
        program: "on_fork",
        attach: Attach::Tracepoint("sched_process_fork"),
        when: When::Always,
        gives: "child processes and threads",
    },
    Probe {
        program: "on_rename",
        attach: Attach::Tracepoint("task_rename"),
        when: When::Always,
        gives: "names that processes give themselves",
    },
    Probe { program: "on_sample", attach: Attach::CpuClock, when: When::Profile, gives: "CPU time by function" },
    Probe {
        program: "on_waking",
        attach: Attach::Tracepoint("sched_waking"),
        when: When::Profile,
        gives: "who ended a wait",
    },
    Probe {
        program: "on_switch",
        attach: Attach::Tracepoint("sched_switch"),
        when: When::Profile,
        gives: "waits and run-queue time",
    },
    Probe {
        program: "on_send",
        attach: Attach::Tracepoint("sock_send_length"),
        when: When::Always,
        gives: "requests and bytes sent",
    },
    Probe {
        program: "on_receive",
        attach: Attach::Tracepoint("sock_recv_length"),
        when: When::Always,
        gives: "responses and bytes received",
    },
    Probe {
        program: "on_exit_sockets",
        attach: Attach::Tracepoint("sched_process_exit"),
        when: When::Always,
        gives: "the last sums of Unix sockets",
    },
    Probe {
        program: "on_socket_state",
        attach: Attach::Tracepoint("inet_sock_set_state"),
        when: When::Always,
        gives: "connections and their set-up time",
    },
    Probe {
        program: "on_socket_end",
        attach: Attach::Tracepoint("tcp_destroy_sock"),
        when: When::Always,
        gives: "sums of closed connections",
    },
    Probe {
        program: ADOPTION,
        attach: Attach::Adoption,
        when: When::Profile,
        gives: "services that ran before the command",
    },
    Probe {
        program: "on_end",
        attach: Attach::TaskIterator,
        when: When::Always,
        gives: "waits and file I/O of processes that outlive the command",
    },
    Probe {
        program: "on_end_sockets",
        attach: Attach::TaskIterator,
        when: When::Always,
        gives: "the same of their Unix sockets",
    },
    Probe {
        program: "on_sys_exit",
        attach: Attach::Tracepoint("sys_exit"),
        when: When::Always,
        gives: "file I/O, and where waits happened",
    },
    Probe {
        program: tls_probes::PROGRAM,
        attach: Attach::Functions,
        when: When::Always,
        gives: "requests in TLS, read instead of inferred",
    },
];

/// The loaded object with its attached programs. Dropping it detaches everything.
pub struct Object {
    ebpf: Ebpf,
    pub live: Live,
    /// Those in TLS libraries; else why there are no programs for them.
    tls: Result<Probes, String>,
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
        };
        let mut ebpf = open(settings)?;
        let maps = Maps::of(&ebpf);
        let map = ebpf.take_map("live").ok_or_else(|| no_map("live"))?;
        let live =
            Array::try_from(map).map_err(|error| CollectError::Load { what: "live".into(), why: error.to_string() })?;
        let mut live = Live(live);
        live.set(&first(plan))?;
        let btf =
            Btf::from_sys_fs().map_err(|error| CollectError::Unsupported { what: format!("kernel BTF: {error}") })?;
        for probe in PROBES.iter().filter(|probe| probe.when == When::Always || !counting) {
            attach(&mut ebpf, probe, &btf, plan.sample_hz, cpus)?;
        }
        let tls = maps.map_err(|error| error.to_string()).and_then(|maps| Probes::load(&mut ebpf, OBJECT, &maps, &btf));
        Ok(Object { ebpf, live, tls })
    }

    /// Sets the probes of some functions of a TLS library; else the reason.
    pub fn probe_tls(&mut self, file: &fs::File, functions: &[&ProbePoints]) -> Result<(), String> {
        let probes = self.tls.as_mut().map_err(|why| why.clone())?;
        probes.set(&mut self.ebpf, file, functions)
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
        for (_, program) in self.ebpf.programs_mut() {
            match program {
                // One that was not loaded has nothing to detach.
                Program::BtfTracePoint(program) => {
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
            Some(Program::Iter(iterator)) => run_once(iterator).map_err(|error| fail(error.to_string())),
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

    /// What the kernel side could not keep.
    pub fn losses(&self) -> Losses {
        const SLOTS: [(wire::LossSlot, Loss); wire::LOSS_SLOTS] = [
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
        ];
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
        let of_tls = self.tls.as_ref().ok().and_then(Probes::program).map(|program| (tls_probes::PROGRAM, program));
        let mut cost: Vec<_> = loaded
            .chain(of_tls)
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

/// What loads here, program by program, for `perfmap doctor`.
pub fn probe() -> Vec<ProbeResult> {
    let settings = wire::Settings {
        wait_threshold_ns: 100_000,
        short_waits_every_ns: 10_000_000,
        file_io_every_ns: 10_000_000,
        counting_only: 0,
        follow: wire::Follow::None as u32,
    };
    let loaded = open(settings).and_then(|ebpf| {
        let btf =
            Btf::from_sys_fs().map_err(|error| CollectError::Unsupported { what: format!("kernel BTF: {error}") })?;
        Ok((ebpf, btf))
    });
    let cpus = super::online_cpus();
    match loaded {
        Ok((mut ebpf, btf)) => PROBES
            .iter()
            .map(|probe| ProbeResult {
                name: probe.program,
                gives: probe.gives,
                required: probe.attach != Attach::Functions,
                loaded: if probe.attach == Attach::Functions {
                    let maps = Maps::of(&ebpf).map_err(|error| error.to_string());
                    let probes = maps.and_then(|maps| Probes::load(&mut ebpf, OBJECT, &maps, &btf));
                    probes.and_then(|probes| probes.try_one(&mut ebpf))
                } else {
                    attach(&mut ebpf, probe, &btf, 99, &cpus).map_err(|error| error.to_string())
                },
            })
            .collect(),
        Err(error) => PROBES
            .iter()
            .map(|probe| ProbeResult {
                name: probe.program,
                gives: probe.gives,
                required: probe.attach != Attach::Functions,
                loaded: Err(error.to_string()),
            })
            .collect(),
    }
}

#[derive(Debug, Clone)]
pub struct ProbeResult {
    pub name: &'static str,
    pub gives: &'static str,
    /// There is no profile without it.
    pub required: bool,
    pub loaded: Result<(), String>,
}

fn open(settings: wire::Settings) -> Result<Ebpf, CollectError> {
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

fn attach(ebpf: &mut Ebpf, probe: &Probe, btf: &Btf, hz: u32, cpus: &[usize]) -> Result<(), CollectError> {
    let fail = |error: &(dyn std::error::Error + 'static)| CollectError::from_load(probe.program, error);
    let program = ebpf
        .program_mut(probe.program)
        .ok_or_else(|| CollectError::Load { what: probe.program.into(), why: "not in the object".into() })?;
    match probe.attach {
        Attach::Tracepoint(name) => {
            let program: &mut BtfTracePoint =
                program.try_into().map_err(|error: aya::programs::ProgramError| fail(&error))?;
            program.load(name, btf).map_err(|error| fail(&error))?;
            program.attach().map_err(|error| fail(&error))?;
        }
        // Loaded where it is needed: `tls_probes`.
        Attach::Functions => {}
        Attach::TaskIterator | Attach::Adoption => {
            let program: &mut Iter = program.try_into().map_err(|error: aya::programs::ProgramError| fail(&error))?;
            program.load("task", btf).map_err(|error| fail(&error))?;
        }
        Attach::CpuClock => {
            let program: &mut PerfEvent =
                program.try_into().map_err(|error: aya::programs::ProgramError| fail(&error))?;
            program.load().map_err(|error| fail(&error))?;
            for cpu in cpus {
                program
                    .attach(
                        PerfEventConfig::Software(SoftwareEvent::CpuClock),
                        PerfEventScope::AllProcessesOneCpu { cpu: *cpu as u32 },
                        SamplePolicy::Frequency(u64::from(hz)),
                        false,
                    )
                    .map_err(|error| fail(&error))?;
            }
        }
    }
    Ok(())
}

fn run_once(iterator: &mut Iter) -> Result<(), Box<dyn std::error::Error>> {
    let link = iterator.attach()?;
    let mut output = Vec::new();
    iterator.take_link(link)?.into_file()?.read_to_end(&mut output)?;
    Ok(())
}

fn no_map(name: &str) -> CollectError {
    CollectError::Load { what: name.into(), why: "not in the object".into() }
}
