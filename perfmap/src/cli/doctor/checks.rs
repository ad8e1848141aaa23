//! Facts → judgements. Each names what it costs the user and the command that mends it.

use super::{
    capabilities::{self, effective},
    facts::Facts,
    kernel,
};
use crate::target::Capability;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Good,
    /// Works, with something less.
    Limited,
    /// No full profile without it.
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub state: State,
    pub finding: String,
    pub cost: Option<String>,
    pub mend: Option<String>,
}

pub fn checks(facts: &Facts) -> Vec<Check> {
    let mut all = vec![kernel(facts), btf(facts), pid_namespace(facts)];
    all.extend(capabilities::rows(facts));
    all.extend([filter(facts), paranoid(facts), unprivileged(facts), symbols(facts), statistics(facts)]);
    all.extend(kernel::rows(facts));
    all
}

pub fn of_probe(name: &str, gives: &str, required: bool, loaded: &Result<(), String>) -> Check {
    match loaded {
        Ok(()) => good(&format!("probe {name}"), "loads"),
        Err(why) => Check {
            name: format!("probe {name}"),
            state: if required { State::Missing } else { State::Limited },
            finding: format!("does not load: {}", why.lines().next().unwrap_or_default()),
            cost: Some(gives.into()),
            mend: Some("see the lines above; if they are all ok, report the message with your kernel's version".into()),
        },
    }
}

pub(super) fn good(name: &str, finding: &str) -> Check {
    Check { name: name.into(), state: State::Good, finding: finding.into(), cost: None, mend: None }
}

pub(super) fn bad(name: &str, state: State, finding: &str, cost: &str, mend: &str) -> Check {
    Check { name: name.into(), state, finding: finding.into(), cost: Some(cost.into()), mend: Some(mend.into()) }
}

/// The oldest that is tested. What an older one can do its probes tell.
const TESTED: (u32, u32) = (6, 1);

fn kernel(facts: &Facts) -> Check {
    let release = facts.release.clone().unwrap_or_default();
    match version(&release) {
        None => bad(
            "kernel",
            State::Limited,
            &format!("version {release:?} not understood"),
            "nothing is known about it",
            "-",
        ),
        Some(version) if version < TESTED => bad(
            "kernel",
            State::Limited,
            &release,
            "older than 6.1, the oldest that is tested: the probes below show what it can do",
            "a newer kernel (Debian: sudo apt install -t bookworm-backports linux-image-amd64)",
        ),
        Some(_) => good("kernel", &release),
    }
}

pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn btf(facts: &Facts) -> Check {
    if facts.has_btf {
        return good("BTF", "/sys/kernel/btf/vmlinux");
    }
    bad(
        "BTF",
        State::Missing,
        "/sys/kernel/btf/vmlinux is not there",
        "no eBPF: the probes cannot find the kernel's structures",
        "a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distributions)",
    )
}

fn pid_namespace(facts: &Facts) -> Check {
    if !facts.foreign_proc {
        return good("PID namespace", "/proc is of perfmap's own");
    }
    bad(
        "PID namespace",
        State::Missing,
        "/proc is of another one than perfmap's",
        "no eBPF: /proc numbers other processes than perfmap's",
        "mount its own: mount -t proc proc /proc (unshare: --mount-proc)",
    )
}

/// A container's filter of system calls.
fn filter(facts: &Facts) -> Check {
    let name = "system calls";
    if facts.filtered.is_empty() {
        return good(name, "bpf and perf_event_open reach the kernel");
    }
    bad(
        name,
        State::Missing,
        &format!("{} refused by a seccomp filter", facts.filtered.join(" and ")),
        "no profile by eBPF; without perf_event_open none by perf events either",
        "the container's --cap-add BPF --cap-add PERFMON open Docker's and containerd's filter, --cap-add SYS_ADMIN podman's; \
         else --security-opt seccomp=unconfined",
    )
}

fn paranoid(facts: &Facts) -> Check {
    let name = "perf_event_paranoid";
    let held = facts.status.as_deref().and_then(effective).unwrap_or_default();
    let admin = held.has(Capability::SysAdmin);
    match facts.perf_event_paranoid.as_deref().map(str::parse::<i32>) {
        // 3 is a patch of Debian and Ubuntu: only CAP_SYS_ADMIN passes, CAP_PERFMON does not.
        Some(Ok(level)) if level >= 3 && !admin => bad(
            name,
            State::Missing,
            &format!("{level}, and CAP_SYS_ADMIN is not held"),
            "no CPU samples and no records of mappings, so no profile by eBPF",
            "sudo sysctl kernel.perf_event_paranoid=2",
        ),
        Some(Ok(level)) if level >= 2 && !held.has(Capability::PerfMon) && !admin => bad(
            name,
            State::Limited,
            &format!("{level}, without privilege"),
            "samples of own processes only, without kernel functions",
            "sudo sysctl kernel.perf_event_paranoid=1",
        ),
        Some(Ok(level)) => good(name, &level.to_string()),
        Some(Err(_)) | None => bad(
            name,
            State::Missing,
            "not there",
            "no CPU samples: the kernel has no perf events, or /proc/sys is hidden",
            "a kernel with CONFIG_PERF_EVENTS=y; in a container: run perfmap on the host",
        ),
    }
}

fn unprivileged(facts: &Facts) -> Check {
    let name = "unprivileged_bpf_disabled";
    match facts.unprivileged_bpf_disabled.as_deref() {
        // Even 0 does not allow tracing programs: nothing is lost by the safe values.
        Some(value) => good(name, &format!("{value} (no matter here: tracing always needs CAP_BPF)")),
        None => {
            bad(name, State::Missing, "not there", "the kernel has no bpf() call", "a kernel with CONFIG_BPF_SYSCALL=y")
        }
    }
}

fn symbols(facts: &Facts) -> Check {
    if facts.kallsyms_has_addresses {
        return good("kernel symbols", "/proc/kallsyms has addresses");
    }
    let value = facts.kptr_restrict.clone().unwrap_or_else(|| "unknown".into());
    bad(
        "kernel symbols",
        State::Limited,
        &format!("addresses are hidden (kptr_restrict {value})"),
        "kernel functions without names",
        if value == "2" { "sudo sysctl kernel.kptr_restrict=1" } else { "CAP_SYSLOG: the line above has the command" },
    )
}

fn statistics(facts: &Facts) -> Check {
    match (&facts.bpf_stats_enabled, facts.statistics_on) {
        (Some(_), true) => good("BPF run-time statistics", "available"),
        (Some(_), false) => bad(
            "BPF run-time statistics",
            State::Limited,
            "refused: only CAP_SYS_ADMIN may turn them on",
            "the cost of perfmap's own probes is not known, and they are not thinned where they cost too much",
            "sudo sysctl kernel.bpf_stats_enabled=1",
        ),
        (None, _) => bad(
            "BPF run-time statistics",
            State::Limited,
            "not there",
            "the cost of perfmap's own probes is not known",
            "a kernel of 5.1 or newer",
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cli::doctor::facts::{has_addresses, mount_of};

    fn healthy() -> Facts {
        Facts {
            foreign_proc: false,
            release: Some("6.12.9-amd64".into()),
            has_btf: true,
            status: Some("Name:\tx\nCapEff:\t000001ffffffffff\n".into()),
            perf_event_paranoid: Some("3".into()),
            unprivileged_bpf_disabled: Some("2".into()),
            bpf_stats_enabled: Some("0".into()),
            kptr_restrict: Some("1".into()),
            lockdown: Some("none [integrity] confidentiality".into()),
            kallsyms_has_addresses: true,
            statistics_on: true,
            has_uprobes: true,
            has_pressure: true,
            mounts: Some("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0".into()),
            ..Facts::default()
        }
    }

    fn judged(facts: &Facts, name: &str) -> State {
        let all = checks(facts);
        all.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name} in {all:?}")).state
    }

    #[test]
    fn a_healthy_machine_is_all_good() {
        assert!(checks(&healthy()).iter().all(|check| check.state == State::Good));
    }

    #[test]
    fn each_lack_is_found_with_its_price_and_mend() {
        let none = Facts::default();
        for check in checks(&none).iter().filter(|check| check.state != State::Good) {
            assert!(check.cost.is_some() && check.mend.is_some(), "{check:?}");
        }
        assert_eq!(judged(&none, "BTF"), State::Missing);
        let plain = Facts { status: Some("CapEff:\t0000000000000000\n".into()), ..healthy() };
        assert_eq!(judged(&plain, "CAP_BPF"), State::Missing);
        assert_eq!(judged(&plain, "perf_event_paranoid"), State::Missing);
        let relaxed = Facts { perf_event_paranoid: Some("2".into()), ..plain };
        assert_eq!(judged(&relaxed, "perf_event_paranoid"), State::Limited);
        let locked = Facts { lockdown: Some("none integrity [confidentiality]".into()), ..healthy() };
        assert_eq!(judged(&locked, "lockdown"), State::Missing);
        let old = Facts { release: Some("5.10.0-28-amd64".into()), ..healthy() };
        assert_eq!(judged(&old, "kernel"), State::Limited, "its probes tell what is missing");
        let hidden = Facts { kallsyms_has_addresses: false, ..healthy() };
        assert_eq!(judged(&hidden, "kernel symbols"), State::Limited);
        let refused = |required| of_probe("sched", "waits", required, &Err("EPERM\nlog".into()));
        assert_eq!((refused(true).finding.as_str(), refused(true).state), ("does not load: EPERM", State::Missing));
        assert_eq!(refused(false).state, State::Limited);
    }

    #[test]
    fn a_proc_of_other_processes_is_said() {
        let inside = Facts { foreign_proc: true, ..healthy() };
        assert_eq!(judged(&inside, "PID namespace"), State::Missing);
        assert_eq!(judged(&healthy(), "PID namespace"), State::Good);
    }

    #[test]
    fn a_containers_filter_is_said() {
        let filtered = Facts { filtered: vec!["bpf", "perf_event_open"], ..healthy() };
        assert_eq!(judged(&filtered, "system calls"), State::Missing);
        assert_eq!(judged(&healthy(), "system calls"), State::Good);
    }

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(version("6.18.3"), Some((6, 18)));
        assert_eq!(version("6.1-rc3+"), Some((6, 1)));
        assert_eq!(version("x"), None);
        assert!(!has_addresses("0000000000000000 T _stext\n0000000000000000 t x\n"));
        assert!(has_addresses("0000000000000000 A fixed\nffffffff81000000 T _stext\n"));
        let mounts = "proc /proc proc rw 0 0\ntracefs /sys/kernel/tracing tracefs rw 0 0\n";
        assert_eq!(mount_of(mounts, "tracefs").as_deref(), Some("/sys/kernel/tracing"));
        assert_eq!(mount_of("", "tracefs"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,60}") {
            let facts = Facts {
                release: Some(text.clone()),
                status: Some(format!("CapEff:{text}")),
                perf_event_paranoid: Some(text.clone()),
                lockdown: Some(text),
                ..Facts::default()
            };
            prop_assert!(!checks(&facts).is_empty());
        }
    }
}
