//! What the kernel says about itself, as text; no judgement here (see `checks`).

use std::{fs::File, io::Read, path::Path};

use crate::target::{Capabilities, capabilities};

/// None: the file is not there or cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub release: Option<String>,
    pub has_btf: bool,
    /// /proc/self/status.
    pub status: Option<String>,
    pub perf_event_paranoid: Option<String>,
    pub unprivileged_bpf_disabled: Option<String>,
    pub bpf_stats_enabled: Option<String>,
    pub kptr_restrict: Option<String>,
    pub lockdown: Option<String>,
    /// The directory that has `lockdown` is there.
    pub has_securityfs: bool,
    /// Where tracefs is mounted.
    pub tracefs: Option<String>,
    /// /proc/self/mounts.
    pub mounts: Option<String>,
    pub has_kprobes: bool,
    pub has_uprobes: bool,
    pub has_pressure: bool,
    /// An address in /proc/kallsyms that is not 0.
    pub kallsyms_has_addresses: bool,
    /// A file of this process's map_files could be opened.
    pub mapped_files_open: bool,
    /// Buffers for mappings of the size that perfmap wants could be locked.
    pub large_buffers: bool,
    /// The kernel's statistics of eBPF programs could be turned on.
    pub statistics_on: bool,
    /// What this process and its children can ever have.
    pub bounding: Capabilities,
    pub no_new_privileges: bool,
    pub is_root: bool,
    /// This very program.
    pub program: Option<String>,
    /// /proc does not number processes as perfmap does.
    pub foreign_proc: bool,
    /// System calls that a filter refuses.
    pub filtered: Vec<&'static str>,
}

/// Enough for the longest of these files; kallsyms is read only as far as its first lines.
const LIMIT: u64 = 64 << 10;

impl Facts {
    pub fn of_this_machine() -> Facts {
        let sysctl = |name: &str| read(&format!("/proc/sys/kernel/{name}"));
        let mounts = read("/proc/self/mounts");
        let source = |name: &str| Path::new("/sys/bus/event_source/devices").join(name).join("type").exists();
        let (status, tried) = (read("/proc/self/status"), crate::collect::tried());
        Facts {
            release: sysctl("osrelease"),
            has_btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            perf_event_paranoid: sysctl("perf_event_paranoid"),
            unprivileged_bpf_disabled: sysctl("unprivileged_bpf_disabled"),
            bpf_stats_enabled: sysctl("bpf_stats_enabled"),
            kptr_restrict: sysctl("kptr_restrict"),
            lockdown: read("/sys/kernel/security/lockdown"),
            has_securityfs: Path::new("/sys/kernel/security/lsm").exists(),
            tracefs: mounts.as_deref().and_then(|mounts| mount_of(mounts, "tracefs")),
            mounts,
            has_kprobes: source("kprobe"),
            has_uprobes: source("uprobe"),
            has_pressure: Path::new("/proc/pressure/cpu").exists(),
            kallsyms_has_addresses: read("/proc/kallsyms").is_some_and(|text| has_addresses(&text)),
            mapped_files_open: tried.mapped_files,
            large_buffers: tried.large_buffers,
            statistics_on: tried.statistics,
            bounding: capabilities::bounding(),
            no_new_privileges: status.as_deref().is_some_and(|status| status.contains("\nNoNewPrivs:\t1")),
            is_root: nix::unistd::geteuid().is_root(),
            program: std::env::current_exe().ok().map(|path| path.to_string_lossy().into_owned()),
            status,
            foreign_proc: crate::collect::is_proc_foreign(),
            filtered: crate::collect::filtered_calls().names(),
        }
    }
}

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

pub fn mount_of(mounts: &str, kind: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, found) = (words.next()?, words.next()?);
        (found == kind).then(|| path.to_owned())
    })
}

pub fn has_addresses(kallsyms: &str) -> bool {
    // The first symbols of x86 are per-CPU offsets that start at 0 in truth.
    kallsyms
        .lines()
        .any(|line| line.split(' ').next().is_some_and(|address| address.contains(|c| ('1'..='f').contains(&c))))
}
