//! The table of the object's programs: what each gives, when and where it is attached, and whether it loads here.

use std::io::Read;

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, FExit, Iter, PerfEvent, Program, ProgramError,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};
use perfmap_common as wire;

use super::{CollectError, object, object::OBJECT, tls_multi::Maps, tls_probes, tls_probes::Probes};

pub(super) const ADOPTION: &str = "on_adopt";

/// When a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Not in counting runs.
    Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attach {
    /// A BTF-typed tracepoint of this name.
    Tracepoint(&'static str),
    /// The same; without it perfmap does with less, and says so.
    Extra(&'static str),
    /// A tracepoint; where the kernel has none, another program at the return of a function. Without both, less.
    ExtraOr { tracepoint: &'static str, program: &'static str, function: &'static str },
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
    pub(super) attach: Attach,
    pub(super) when: When,
    /// What is missing from the map without it.
    pub gives: &'static str,
}

impl Probe {
    /// There is no profile without it.
    pub(super) fn is_required(&self) -> bool {
        match self.attach {
            Attach::Tracepoint(_) | Attach::CpuClock | Attach::TaskIterator | Attach::Adoption => true,
            Attach::Extra(_) | Attach::ExtraOr { .. } | Attach::Functions => false,
        }
    }
}

/// Exit, exec and fork come first: the target is followed only once all three are there.
pub const PROBES: [Probe; 22] = [
    Probe {
        // Before the process is gone for those who read the records.
        program: "on_exit_files",
        attach: Attach::Tracepoint("sched_process_exit"),
        when: When::Profile,
        gives: "descriptors that are never closed",
    },
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
    Probe {
        program: "on_memory",
        attach: Attach::Extra("rss_stat"),
        when: When::Profile,
        gives: "growth of memory by function",
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
        program: "on_block_io",
        attach: Attach::Extra("block_bio_queue"),
        when: When::Profile,
        gives: "which disk a wait was for",
    },
    Probe {
        program: "on_send",
        attach: Attach::ExtraOr { tracepoint: "sock_send_length", program: "on_sent", function: "sock_sendmsg" },
        when: When::Always,
        gives: "requests and bytes sent",
    },
    Probe {
        program: "on_receive",
        attach: Attach::ExtraOr { tracepoint: "sock_recv_length", program: "on_received", function: "sock_recvmsg" },
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
        // Before the connection is gone for those who read the records.
        program: "on_unread",
        attach: Attach::Extra("tcp_destroy_sock"),
        when: When::Profile,
        gives: "answers that are not read",
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
        program: "on_end_files",
        attach: Attach::TaskIterator,
        when: When::Profile,
        gives: "descriptors of processes that outlive the command",
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

/// What loads here, program by program, for `perfmap doctor`.
pub fn probe() -> Vec<ProbeResult> {
    let settings = wire::Settings {
        wait_threshold_ns: 100_000,
        short_waits_every_ns: 10_000_000,
        file_io_every_ns: 10_000_000,
        counting_only: 0,
        follow: wire::Follow::None as u32,
        pid_namespace: super::pid_namespace::setting(),
        lose_arrivals: 0,
    };
    let loaded = object::kernel_types().and_then(|btf| Ok((object::open(settings)?, btf)));
    let cpus = super::online_cpus();
    match loaded {
        Ok((mut ebpf, btf)) => PROBES
            .iter()
            .map(|probe| ProbeResult {
                name: probe.program,
                gives: probe.gives,
                required: probe.is_required(),
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
                required: probe.is_required(),
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

pub(super) fn attach(ebpf: &mut Ebpf, probe: &Probe, btf: &Btf, hz: u32, cpus: &[usize]) -> Result<(), CollectError> {
    let fail = |error: &(dyn std::error::Error + 'static)| CollectError::from_load(probe.program, error);
    let program = named(ebpf, probe.program)?;
    match probe.attach {
        Attach::Tracepoint(name) | Attach::Extra(name) => {
            at_tracepoint(program, name, btf).map_err(|error| fail(&error))?
        }
        Attach::ExtraOr { tracepoint, program: other, function } => {
            if let Err(error) = at_tracepoint(program, tracepoint, btf) {
                // The tracepoint's is the error that tells: the newer kernel has it.
                at_return(named(ebpf, other)?, function, btf).map_err(|_| fail(&error))?;
            }
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

fn named<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program, CollectError> {
    ebpf.program_mut(name).ok_or_else(|| CollectError::Load { what: name.into(), why: "not in the object".into() })
}

fn at_tracepoint(program: &mut Program, name: &str, btf: &Btf) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = program.try_into()?;
    program.load(name, btf)?;
    program.attach().map(drop)
}

fn at_return(program: &mut Program, function: &str, btf: &Btf) -> Result<(), ProgramError> {
    let program: &mut FExit = program.try_into()?;
    program.load(function, btf)?;
    program.attach().map(drop)
}

pub(super) fn run_once(iterator: &mut Iter) -> Result<(), Box<dyn std::error::Error>> {
    let link = iterator.attach()?;
    let mut output = Vec::new();
    iterator.take_link(link)?.into_file()?.read_to_end(&mut output)?;
    Ok(())
}
