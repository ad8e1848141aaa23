//! Which capability gives what, and which are in effect when: everything while the probes are attached, a few while the target
//! is watched. What each lacks was measured by taking it away from all the others (`docs/privileges.md`).

use super::mappings::{BUFFER_BYTES, Mappings};
use crate::target::{
    Capabilities,
    Capability::{self, *},
    capabilities::{self, Before, Sets},
};

/// One capability that a recording by eBPF has a use for.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub capability: Capability,
    /// There is no recording by eBPF without it.
    pub required: bool,
    /// What is missing without it.
    pub lost: &'static str,
}

const fn need(capability: Capability, required: bool, lost: &'static str) -> Need {
    Need { capability, required, lost }
}

/// The most needed first.
pub const NEEDS: [Need; 9] = [
    need(Bpf, true, "no eBPF program loads"),
    need(PerfMon, true, "no eBPF program that reads the kernel loads, and no CPU samples"),
    need(Syslog, false, "kernel functions have no names"),
    need(
        SysPtrace,
        false,
        "processes of other users, and those that may do more than perfmap, cannot be read: no functions of theirs, and \
         services that ran before are not followed",
    ),
    need(DacReadSearch, false, "programs and libraries that only other users may read have functions without names"),
    need(CheckpointRestore, false, "programs and libraries that were deleted or replaced have functions without names"),
    need(
        SysAdmin,
        false,
        "what perfmap's own probes cost is not known, so they are not thinned; before kernel 6.6 TLS is not read; CPU samples \
         where perf_event_paranoid is 3 or more",
    ),
    need(NetAdmin, false, "connections through published ports that are older than the recording are not joined"),
    need(IpcLock, false, "smaller buffers for mappings where the limit of locked memory is low: more may be lost"),
];

/// Of all that perfmap may have a use for, before anything is started: the rest is given up for good.
pub fn at_start() {
    capabilities::keep(Sets::now().to_read_children(Capabilities::of(&Capability::ALL)));
    capabilities::raise();
}

/// Reading targets and their files, and signalling them.
const WATCHING: Capabilities = Capabilities::of(&[SysPtrace, DacReadSearch, CheckpointRestore, Kill]);
/// What the second thread needs, which reads what targets hold and load, and sets no probe.
const READING: Capabilities = Capabilities::of(&[SysPtrace, DacReadSearch, CheckpointRestore]);
/// After the last run: the files of the results, which belong to the user.
const WRITING: Capabilities = Capabilities::of(&[Chown, DacOverride, DacReadSearch, FileOwner, Kill, SetGid, SetUid]);

/// While the target runs. A probe that is set later is set with [`capabilities::raised`]. `may_go_on`: maps can be written
/// still, which kernels before 5.19 allow only with CAP_BPF.
pub fn while_watching(may_go_on: impl FnOnce() -> bool) -> Option<Before> {
    let before = capabilities::lower(Sets::now().to_read_children(WATCHING));
    may_go_on().then_some(before)
}

/// For good, in the thread that calls.
pub fn only_reading() {
    capabilities::keep(Sets::now().to_read_children(READING));
}

/// For good: nothing is run any more.
pub fn only_writing() {
    capabilities::keep(WRITING);
}

/// What this run lacked, for the report; `unreadable`: processes that could not be read.
pub fn notes(symbols: bool, costs_known: bool, unreadable: usize) -> Vec<String> {
    lacks(Sets::now().permitted, symbols, costs_known, unreadable)
}

fn lacks(permitted: Capabilities, symbols: bool, costs_known: bool, unreadable: usize) -> Vec<String> {
    let without = |one: Capability| !permitted.has(one);
    let mut notes = Vec::new();
    if !symbols && without(Syslog) {
        notes.push(format!("without {Syslog} kernel functions have no names"));
    }
    if !costs_known && without(SysAdmin) {
        notes.push(format!(
            "without {SysAdmin} the cost of perfmap's own probes is not known: they are not thinned where they cost too much"
        ));
    }
    if unreadable > 0 && without(SysPtrace) {
        let processes = if unreadable == 1 { "1 process".to_owned() } else { format!("{unreadable} processes") };
        notes.push(format!(
            "without {SysPtrace} {processes} could not be read (another user's, or with more privilege than perfmap): their \
             functions have no names"
        ));
    }
    notes
}

/// What was tried, for `perfmap doctor`: what a capability gives may work without it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    /// What is mapped could be opened through the kernel's own link.
    pub mapped_files: bool,
    pub large_buffers: bool,
    pub statistics: bool,
}

pub fn tried() -> Tried {
    let own = std::process::id();
    let mapped = crate::unwind::read_mappings(own);
    let open = |mapping: &crate::unwind::Mapping| {
        std::fs::File::open(format!(
            "/proc/{own}/map_files/{:x}-{:x}",
            mapping.start,
            mapping.start.saturating_add(mapping.length)
        ))
    };
    Tried {
        mapped_files: mapped.iter().any(|mapping| open(mapping).is_ok()),
        large_buffers: Mappings::with_buffers(&super::online_cpus(), BUFFER_BYTES).is_ok(),
        statistics: aya::sys::enable_stats(aya::sys::Stats::RunTime).is_ok(),
    }
}

/// Those that loading needs and this thread does not have.
pub fn missing_for_loading() -> Vec<Capability> {
    let held = Sets::now().effective;
    let needed = [Bpf, PerfMon].into_iter().filter(|one| !held.has(*one) && !held.has(SysAdmin));
    needed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_felt_is_said() {
        let some = Capabilities::of(&[Bpf, PerfMon]);
        assert!(lacks(some, true, true, 0).is_empty());
        let all = Capabilities::of(&Capability::ALL);
        assert!(lacks(all, false, false, 3).is_empty(), "other causes than capabilities");
        let said = lacks(some, false, false, 3);
        assert_eq!(said.len(), 3);
        assert!(said[2].contains("CAP_SYS_PTRACE 3 processes"), "{said:?}");
    }

    #[test]
    fn each_need_is_named_once_and_the_required_come_first() {
        for (at, one) in NEEDS.iter().enumerate() {
            assert!(NEEDS.iter().skip(at + 1).all(|other| other.capability != one.capability));
            assert_eq!(one.required, at < 2);
        }
    }
}
