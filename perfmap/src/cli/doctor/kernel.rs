//! What else of the kernel is there or not: lockdown, tracefs, probes in functions, control groups. Judged by what was
//! found, never by the kernel's version.

use super::{
    checks::{Check, State, bad, good},
    facts::Facts,
};

pub fn rows(facts: &Facts) -> Vec<Check> {
    vec![lockdown(facts), tracefs(facts), function_probes(facts), control_groups(facts), pressure(facts)]
}

/// `none [integrity] confidentiality`
pub fn lockdown_mode(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(mode, _)| mode)
}

fn lockdown(facts: &Facts) -> Check {
    match facts.lockdown.as_deref().map(lockdown_mode) {
        Some(Some("confidentiality")) => bad(
            "lockdown",
            State::Missing,
            "confidentiality",
            "eBPF may not read kernel memory: no waits, no sockets",
            "boot without lockdown=confidentiality",
        ),
        Some(Some(mode)) => good("lockdown", mode),
        Some(None) => good("lockdown", "of an unknown kind: the probes below show what it allows"),
        None if facts.has_securityfs => good("lockdown", "off"),
        None => good("lockdown", "not known (securityfs is not mounted): the probes below show what is allowed"),
    }
}

/// All probes go by the kernel's types, none by tracefs.
fn tracefs(facts: &Facts) -> Check {
    match &facts.tracefs {
        Some(path) => good("tracefs", &format!("{path} (not needed)")),
        None => good("tracefs", "not mounted, and not needed"),
    }
}

fn function_probes(facts: &Facts) -> Check {
    let kprobes = if facts.has_kprobes { "also in the kernel's" } else { "not in the kernel's, which is not needed" };
    if facts.has_uprobes {
        return good("probes in functions", &format!("in programs' functions; {kprobes}"));
    }
    bad(
        "probes in functions",
        State::Limited,
        "not in programs' functions",
        "TLS is not read, and what event loops and Go's handlers are asked for is not seen",
        "a kernel with CONFIG_UPROBE_EVENTS=y (all current distributions)",
    )
}

/// Which hierarchies a list of mounts has: (of version 2, controllers of version 1).
pub fn hierarchies(mounts: &str) -> (bool, Vec<&str>) {
    let (mut unified, mut controllers) = (false, Vec::new());
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(2);
        match (words.next(), words.next()) {
            (Some("cgroup2"), _) => unified = true,
            (Some("cgroup"), Some(options)) => {
                let known = ["cpu", "memory", "cpuset", "blkio", "pids", "freezer"];
                controllers.extend(options.split(',').filter(|option| known.contains(option)));
            }
            _ => {}
        }
    }
    controllers.sort_unstable();
    controllers.dedup();
    (unified, controllers)
}

fn control_groups(facts: &Facts) -> Check {
    let name = "control groups";
    let (unified, controllers) = hierarchies(facts.mounts.as_deref().unwrap_or_default());
    let limits = ["cpu", "memory"].iter().all(|one| controllers.contains(one));
    match (unified, controllers.is_empty()) {
        (true, true) => good(name, "version 2"),
        (_, false) if limits => good(name, if unified { "versions 1 and 2" } else { "version 1" }),
        (_, false) => bad(
            name,
            State::Limited,
            &format!("version 1, with {} alone", controllers.join(", ")),
            "limits of CPU time and memory are not known",
            "sudo mount -t cgroup2 none /sys/fs/cgroup",
        ),
        (false, true) => bad(
            name,
            State::Limited,
            "not mounted",
            "limits of CPU time and memory are not known, and containers have no names",
            "sudo mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn pressure(facts: &Facts) -> Check {
    if facts.has_pressure {
        return good("pressure", "/proc/pressure");
    }
    bad(
        "pressure",
        State::Limited,
        "/proc/pressure is not there",
        "how much the whole machine lacked CPU, memory and disk is not known; the command's own waits are",
        "boot with psi=1 (a kernel with CONFIG_PSI=y)",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(facts: &Facts, name: &str) -> Check {
        rows(facts).into_iter().find(|check| check.name == name).expect("a row")
    }

    #[test]
    fn lockdown_in_all_its_states() {
        let of = |text: Option<&str>| {
            let facts = Facts { lockdown: text.map(str::to_owned), has_securityfs: text.is_some(), ..Facts::default() };
            judged(&facts, "lockdown")
        };
        assert_eq!(of(Some("none [integrity] confidentiality")).finding, "integrity");
        assert_eq!(of(Some("none integrity [confidentiality]")).state, State::Missing);
        assert_eq!(of(Some("[none] integrity confidentiality")).finding, "none");
        assert!(of(None).finding.contains("not known"));
        let off = Facts { has_securityfs: true, ..Facts::default() };
        assert_eq!(judged(&off, "lockdown").finding, "off");
    }

    #[test]
    fn hierarchies_of_mounts() {
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(hierarchies(hybrid), (true, vec!["cpu", "memory"]));
        let of = |mounts: &str| judged(&Facts { mounts: Some(mounts.into()), ..Facts::default() }, "control groups");
        assert_eq!(of(hybrid).finding, "versions 1 and 2");
        assert_eq!(of("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n").finding, "version 2");
        assert_eq!(of("cgroup /x cgroup rw,name=systemd 0 0\n").state, State::Limited);
        assert_eq!(of("cgroup /x cgroup rw,cpu,cpuacct 0 0\n").finding, "version 1, with cpu alone");
        assert_eq!(of("").finding, "not mounted");
    }

    #[test]
    fn what_is_absent_is_missed_only_where_it_is_used() {
        let bare = Facts::default();
        assert_eq!(judged(&bare, "tracefs").state, State::Good);
        assert_eq!(judged(&bare, "probes in functions").state, State::Limited);
        let without_kprobes = Facts { has_uprobes: true, ..Facts::default() };
        assert_eq!(judged(&without_kprobes, "probes in functions").state, State::Good);
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,80}") {
            let facts = Facts { lockdown: Some(text.clone()), mounts: Some(text), ..Facts::default() };
            prop_assert_eq!(rows(&facts).len(), 5);
        }
    }
}
