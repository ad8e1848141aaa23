//! Which means of collecting work here, probed by trying, best first; and what each that does not work would need.

use super::{CollectError, online_cpus, perf, pid_namespace, probes, remedy};

/// In the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Probes in the kernel: all.
    Ebpf,
    /// perf's events of the own tree: no messages, files, wakers.
    Perf,
    /// /proc polled: works everywhere.
    Procfs,
    /// Wall time, CPU time and memory: where /proc is another PID namespace's.
    Counts,
}

impl Means {
    /// Those that make a profile.
    pub const ALL: [Means; 3] = [Means::Ebpf, Means::Perf, Means::Procfs];

    /// As `Meta::backend` has it.
    pub fn name(self) -> &'static str {
        match self {
            Means::Ebpf => "ebpf",
            Means::Perf => "perf",
            Means::Procfs => "procfs",
            Means::Counts => "counts",
        }
    }

    /// What is lost with it, as a half sentence.
    pub fn lost(self) -> &'static str {
        match self {
            Means::Ebpf => "nothing",
            Means::Perf => {
                "requests, files and who woke whom are not seen, waits below 2 ms only as sums, and time in the kernel \
                 has no function"
            }
            Means::Procfs => {
                "requests, files and who woke whom are not seen; where a thread computes is known of Python alone, and \
                 all but CPU time is exact to 10 ms only"
            }
            Means::Counts => "only wall time, CPU time and memory are known, no functions, waits, files or requests",
        }
    }
}

/// Why a means does not work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    /// The one command or setting that gives it.
    pub mend: String,
}

/// Whether it works here, found out by trying; leaves nothing behind.
pub fn available(means: Means) -> Result<(), Missing> {
    match means {
        Means::Ebpf => ebpf(),
        Means::Perf => perf(),
        Means::Procfs | Means::Counts => Ok(()),
    }
}

fn ebpf() -> Result<(), Missing> {
    if pid_namespace::is_proc_foreign() {
        let mend = "mount -t proc proc /proc, or unshare --mount-proc".to_owned();
        return Err(Missing { what: CollectError::ForeignProc.to_string(), mend });
    }
    let refused = probes::probe().into_iter().find(|probe| probe.required && probe.loaded.is_err());
    match refused.map(|probe| (probe.name, probe.loaded)) {
        Some((name, Err(error))) => {
            Err(Missing { what: format!("{name} could not be loaded: {error}"), mend: remedy::remedy().into() })
        }
        Some((_, Ok(()))) | None => Ok(()),
    }
}

/// The events of a run, on ourselves.
fn perf() -> Result<(), Missing> {
    let asked = perf::Asked { sample_hz: 99, stack_bytes: 1024 };
    perf::Rings::open(None, &online_cpus(), asked).map(drop).map_err(|error| {
        let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        match (error.raw_os_error(), paranoid.trim().parse::<i32>()) {
            (Some(libc::EACCES | libc::EPERM), Ok(level)) if level > 2 => Missing {
                what: format!("perf events are refused (kernel.perf_event_paranoid is {level})"),
                mend: "sudo sysctl kernel.perf_event_paranoid=2".into(),
            },
            (Some(libc::EACCES | libc::EPERM), _) => Missing {
                what: format!("perf events are refused ({error}): a container's seccomp profile does that"),
                mend: "allow the system call perf_event_open".into(),
            },
            _ => Missing { what: format!("no perf events: {error}"), mend: remedy::remedy().into() },
        }
    })
}
