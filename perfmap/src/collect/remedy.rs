//! What the kernel has, and what this process may have and call → the one thing that would let it profile by eBPF: another kernel
//! or another start of it, sudo, a container's flags, or another filter of system calls.

use std::path::Path;

use super::{lockdown, privileges};
use crate::target::{Capabilities, capabilities};

/// As a half sentence that begins with a verb.
pub fn remedy() -> &'static str {
    let of_kernel = of_kernel(Path::new(TYPES).exists(), lockdown().as_deref());
    let rest = match nix::unistd::geteuid().is_root() {
        true => "see what this machine refuses: perfmap doctor",
        false => "run it as: sudo perfmap trace …",
    };
    remedy_outside().or(of_kernel).unwrap_or(rest)
}

const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// What no privilege gives.
fn of_kernel(tells_types: bool, lockdown: Option<&str>) -> Option<&'static str> {
    if !tells_types {
        return Some("use a kernel built with CONFIG_DEBUG_INFO_BTF=y, with sysfs mounted");
    }
    (lockdown == Some("confidentiality")).then_some("boot without lockdown=confidentiality")
}

/// Where nothing that is done in this container helps: what its start needs.
pub fn remedy_outside() -> Option<&'static str> {
    of(capabilities::bounding(), privileges::missing_for_loading().is_empty(), filtered_calls())
}

fn of(bounding: Capabilities, held: bool, filtered: Filtered) -> Option<&'static str> {
    // Here nobody can become what may load programs, not by sudo either.
    if !bounding.may_load_programs() {
        return Some("start the container with: --cap-add BPF --cap-add PERFMON");
    }
    if held && (filtered.bpf || filtered.perf_event_open) {
        return Some(
            "start the container with: --security-opt seccomp=unconfined (podman and Docker before 23: their filter lets bpf \
             and perf_event_open through with --cap-add SYS_ADMIN too)",
        );
    }
    None
}

/// Which of the two system calls that eBPF needs do not reach the kernel: a container's filter answers for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filtered {
    pub bpf: bool,
    pub perf_event_open: bool,
}

impl Filtered {
    pub fn names(self) -> Vec<&'static str> {
        let both = [(self.bpf, "bpf"), (self.perf_event_open, "perf_event_open")];
        both.into_iter().filter(|(refused, _)| *refused).map(|(_, name)| name).collect()
    }
}

/// Found by calls that mean nothing: the kernel says so, a filter refuses them.
pub fn filtered_calls() -> Filtered {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: a command that does not exist, with attributes of no bytes.
    let bpf = unsafe { libc::syscall(libc::SYS_bpf, -1_i64, none, 0_i64) };
    let bpf = is_filters(bpf, &std::io::Error::last_os_error());
    // SAFETY: flags that do not exist, looked at before the attributes are read.
    let perf = unsafe { libc::syscall(libc::SYS_perf_event_open, none, 0_i64, -1_i64, -1_i64, -1_i64) };
    let perf_event_open = is_filters(perf, &std::io::Error::last_os_error());
    // Before kernel 5.19 whoever lacks the capability is refused before the command is looked at.
    Filtered { bpf: bpf && privileges::missing_for_loading().is_empty(), perf_event_open }
}

fn is_filters(returned: libc::c_long, error: &std::io::Error) -> bool {
    returned == -1 && matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Capability;

    #[test]
    fn each_place_has_its_own() {
        let all = Capabilities::of(&Capability::ALL);
        let (open, shut) = (Filtered::default(), Filtered { bpf: true, perf_event_open: true });
        assert_eq!(of(all, false, open), None);
        // A filter may refuse them for want of the capability: that comes first.
        for filtered in [open, shut] {
            let said = of(Capabilities::NONE, false, filtered).expect("flags");
            assert!(said.contains("--cap-add BPF --cap-add PERFMON"), "{said}");
        }
        let both = Capabilities::of(&[Capability::Bpf, Capability::PerfMon]);
        assert!(of(both, true, shut).is_some_and(|said| said.contains("seccomp=unconfined")));
        assert_eq!(of(both, false, open), None, "an ordinary user in the container");
    }

    #[test]
    fn what_the_kernel_itself_lacks() {
        assert_eq!(of_kernel(true, None), None);
        assert_eq!(of_kernel(true, Some("integrity")), None, "eBPF may read there");
        assert!(of_kernel(false, None).is_some_and(|said| said.contains("CONFIG_DEBUG_INFO_BTF")));
        assert!(of_kernel(true, Some("confidentiality")).is_some_and(|said| said.contains("boot without")));
    }

    #[test]
    fn tests_run_where_the_kernel_answers() {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        if status.contains("\nSeccomp:\t0") {
            assert_eq!(filtered_calls(), Filtered::default());
        }
        assert_eq!(Filtered { bpf: false, perf_event_open: true }.names(), ["perf_event_open"]);
    }
}
