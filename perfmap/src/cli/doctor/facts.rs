//! What the kernel says about itself, as text; no judgement here (see `checks`).

use std::{fs::File, io::Read, path::Path};

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
    /// Where tracefs is mounted.
    pub tracefs: Option<String>,
    pub tracefs_readable: bool,
    /// An address in /proc/kallsyms that is not 0.
    pub kallsyms_has_addresses: bool,
    pub sudo_present: bool,
    /// /proc does not number processes as perfmap does.
    pub foreign_proc: bool,
}

/// Enough for the longest of these files; kallsyms is read only as far as its first lines.
const LIMIT: u64 = 64 << 10;

impl Facts {
    pub fn of_this_machine() -> Facts {
        let sysctl = |name: &str| read(&format!("/proc/sys/kernel/{name}"));
        let tracefs = read("/proc/self/mounts").and_then(|mounts| mount_of(&mounts, "tracefs"));
        Facts {
            release: sysctl("osrelease"),
            has_btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            status: read("/proc/self/status"),
            perf_event_paranoid: sysctl("perf_event_paranoid"),
            unprivileged_bpf_disabled: sysctl("unprivileged_bpf_disabled"),
            bpf_stats_enabled: sysctl("bpf_stats_enabled"),
            kptr_restrict: sysctl("kptr_restrict"),
            lockdown: read("/sys/kernel/security/lockdown"),
            tracefs_readable: tracefs.as_ref().is_some_and(|path| std::fs::read_dir(path).is_ok()),
            tracefs,
            kallsyms_has_addresses: read("/proc/kallsyms").is_some_and(|text| has_addresses(&text)),
            sudo_present: Path::new("/usr/bin/sudo").exists(),
            foreign_proc: crate::collect::is_proc_foreign(),
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
