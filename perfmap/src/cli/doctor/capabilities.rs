//! The table of capabilities: held or not, whether what each gives works here without it, what its lack costs, and the one
//! command that gives it.

use super::{
    checks::{Check, State, bad, good},
    facts::Facts,
};
use crate::{
    collect::{NEEDS, Need},
    target::{Capabilities, Capability},
};

pub fn rows(facts: &Facts) -> Vec<Check> {
    let Some(status) = facts.status.as_deref() else {
        return vec![bad(
            "capabilities",
            State::Limited,
            "/proc/self/status could not be read",
            "unknown",
            "mount -t proc proc /proc",
        )];
    };
    let held = effective(status).unwrap_or(Capabilities::NONE);
    NEEDS.iter().map(|need| row(need, held, facts)).collect()
}

fn row(need: &Need, held: Capabilities, facts: &Facts) -> Check {
    let Need { capability, required, lost } = need;
    let name = capability.to_string();
    if held.has(*capability) {
        return good(&name, "held");
    }
    // What CAP_BPF and CAP_PERFMON were split from, and still stands for them.
    if *required && held.has(Capability::SysAdmin) {
        return good(&name, "not held, CAP_SYS_ADMIN stands for it");
    }
    if let Some(why) = needless(*capability, held, facts) {
        return good(&name, &format!("not held, not needed here: {why}"));
    }
    let state = if *required { State::Missing } else { State::Limited };
    bad(&name, state, "not held", lost, &mend(*capability, held, facts))
}

/// What it gives, and works without it.
fn needless(capability: Capability, held: Capabilities, facts: &Facts) -> Option<&'static str> {
    match capability {
        Capability::Syslog => facts.kallsyms_has_addresses.then_some("kernel symbols have their addresses"),
        Capability::CheckpointRestore => facts.mapped_files_open.then_some("mapped files can be opened"),
        Capability::IpcLock => facts.large_buffers.then_some("the limit of locked memory is high enough"),
        Capability::Bpf | Capability::PerfMon | Capability::SysPtrace | Capability::NetAdmin | Capability::SysAdmin => {
            None
        }
        Capability::DacReadSearch => held.has(Capability::DacOverride).then_some("CAP_DAC_OVERRIDE stands for it"),
        Capability::Chown
        | Capability::DacOverride
        | Capability::FileOwner
        | Capability::Kill
        | Capability::SetGid
        | Capability::SetUid
        | Capability::SysChroot => None,
    }
}

fn mend(capability: Capability, held: Capabilities, facts: &Facts) -> String {
    let short = capability.short_name();
    if !facts.bounding.has(capability) {
        return format!(
            "start the container with --cap-add {short} (Kubernetes: securityContext.capabilities.add: [\"{short}\"])"
        );
    }
    if facts.no_new_privileges {
        return "start it without no_new_privs (Kubernetes: allowPrivilegeEscalation: true), then sudo".into();
    }
    if facts.is_root {
        return format!("it was taken from this process: start perfmap as root with CAP_{short}");
    }
    // setcap writes the whole set: what is held already, and what is required anyway, is among it.
    let wanted =
        NEEDS.iter().filter(|need| need.required || need.capability == capability || held.has(need.capability));
    let names: Vec<String> = wanted.map(|need| need.capability.to_string().to_lowercase()).collect();
    let path = facts.program.as_deref().unwrap_or("/usr/local/bin/perfmap");
    format!("sudo setcap {}=ep {path} (or: sudo perfmap …)", names.join(","))
}

/// Of /proc/PID/status.
pub fn effective(status: &str) -> Option<Capabilities> {
    let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(text.trim(), 16).ok().map(Capabilities::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(held: &[Capability]) -> Facts {
        let bits =
            Capability::ALL.into_iter().filter(|one| held.contains(one)).fold(0_u64, |bits, one| bits | 1 << one as u8);
        Facts {
            status: Some(format!("Name:\tx\nCapEff:\t{bits:016x}\n")),
            bounding: Capabilities::of(&Capability::ALL),
            program: Some("/opt/perfmap".into()),
            ..Facts::default()
        }
    }

    fn of(name: &str, facts: &Facts) -> Check {
        rows(facts).into_iter().find(|check| check.name == name).expect("a row")
    }

    #[test]
    fn each_is_a_row_with_its_price_and_the_command_that_gives_it() {
        let nothing = facts(&[]);
        assert_eq!(rows(&nothing).len(), NEEDS.len());
        let bpf = of("CAP_BPF", &nothing);
        assert_eq!(bpf.state, State::Missing);
        assert_eq!(bpf.mend.as_deref(), Some("sudo setcap cap_bpf,cap_perfmon=ep /opt/perfmap (or: sudo perfmap …)"));
        let some = facts(&[Capability::Bpf, Capability::PerfMon, Capability::Syslog]);
        let ptrace = of("CAP_SYS_PTRACE", &some);
        assert_eq!((ptrace.state, ptrace.cost.is_some()), (State::Limited, true));
        let mend = ptrace.mend.expect("a command");
        assert!(mend.starts_with("sudo setcap cap_bpf,cap_perfmon,cap_syslog,cap_sys_ptrace=ep "), "{mend}");
        assert_eq!(of("CAP_BPF", &some).state, State::Good);
        assert_eq!(of("CAP_BPF", &facts(&[Capability::SysAdmin])).state, State::Good, "the older name of both");
    }

    #[test]
    fn what_works_without_it_is_not_missed() {
        let hidden = facts(&[Capability::Bpf]);
        assert_eq!(of("CAP_SYSLOG", &hidden).state, State::Limited);
        let shown = Facts { kallsyms_has_addresses: true, ..hidden };
        let row = of("CAP_SYSLOG", &shown);
        assert_eq!((row.state, row.mend), (State::Good, None));
        assert!(row.finding.contains("not needed here"), "{}", row.finding);
    }

    #[test]
    fn in_a_container_its_runtime_gives_it() {
        let inside = Facts { bounding: Capabilities::NONE, is_root: true, ..facts(&[]) };
        assert!(of("CAP_PERFMON", &inside).mend.is_some_and(|mend| mend.contains("--cap-add PERFMON")));
        let held_back = Facts { no_new_privileges: true, ..facts(&[]) };
        assert!(of("CAP_BPF", &held_back).mend.is_some_and(|mend| mend.contains("allowPrivilegeEscalation")));
    }

    #[test]
    fn sets_of_a_status() {
        assert_eq!(
            effective("CapEff:\t000000c000000000\n"),
            Some(Capabilities::of(&[Capability::Bpf, Capability::PerfMon]))
        );
        assert_eq!((effective(""), effective("CapEff:\tx\n")), (None, None));
    }
}
