//! What the machine and our control group have counted → the difference over the run: pressure, block devices, swap,
//! page faults that waited for a device. Read twice; nothing here runs while the target does.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use nix::sys::resource::{UsageWho, getrusage};

use crate::recording::{Disk, Environment, GroupMemory, Nanos, Pressure, Resource, Scope};

/// /proc/diskstats counts in these, whatever the device's own are.
const SECTOR: u64 = 512;
/// Lines of one file that are looked at.
const LINES: usize = 4096;

const RESOURCES: [(Resource, &str); 3] = [(Resource::Cpu, "cpu"), (Resource::Io, "io"), (Resource::Memory, "memory")];

/// One reading.
#[derive(Debug, Default)]
pub struct Reading {
    pressure: BTreeMap<(Scope, Resource), (Nanos, Nanos)>,
    disks: BTreeMap<u32, Disk>,
    counters: BTreeMap<String, u64>,
    children_major_faults: u64,
    memory: Option<GroupMemory>,
}

impl Reading {
    pub fn take() -> Reading {
        let groups = Groups::own();
        let mut pressure = BTreeMap::new();
        for (resource, name) in RESOURCES {
            let machine = Some(PathBuf::from(format!("/proc/pressure/{name}")));
            let group = groups.unified.as_ref().map(|group| group.join(format!("{name}.pressure")));
            for (scope, path) in [(Scope::Machine, machine), (Scope::Group, group)] {
                if let Some(text) = path.and_then(|path| fs::read_to_string(path).ok()) {
                    pressure.insert((scope, resource), stalls(&text));
                }
            }
        }
        Reading {
            pressure,
            disks: disks(&text("/proc/diskstats")),
            counters: counters(&text("/proc/vmstat")),
            children_major_faults: getrusage(UsageWho::RUSAGE_CHILDREN)
                .map_or(0, |usage| u64::try_from(usage.major_page_faults()).unwrap_or(0)),
            memory: groups.memory(),
        }
    }

    /// What came together since `before`, `length` ago.
    pub fn since(self, before: &Reading, length: Nanos) -> Environment {
        let pressure = self.pressure.iter().map(|((scope, resource), (some, full))| {
            let (some_before, full_before) = before.pressure.get(&(*scope, *resource)).copied().unwrap_or_default();
            Pressure {
                scope: *scope,
                resource: *resource,
                some: some.since(some_before),
                full: full.since(full_before),
            }
        });
        let disks = self.disks.values().filter_map(|now| {
            let idle =
                Disk { requests: 0, read_bytes: 0, written_bytes: 0, busy: Nanos(0), queued: Nanos(0), ..now.clone() };
            let was = before.disks.get(&now.device).filter(|was| was.name == now.name).unwrap_or(&idle);
            let requests = now.requests.saturating_sub(was.requests);
            (requests > 0).then(|| Disk {
                requests,
                read_bytes: now.read_bytes.saturating_sub(was.read_bytes),
                written_bytes: now.written_bytes.saturating_sub(was.written_bytes),
                busy: now.busy.since(was.busy),
                queued: now.queued.since(was.queued),
                ..now.clone()
            })
        });
        let counted = |name: &str| {
            let of = |reading: &Reading| reading.counters.get(name).copied().unwrap_or(0);
            of(&self).saturating_sub(of(before))
        };
        let memory = self.memory.map(|now| {
            let was = before.memory.unwrap_or_default();
            GroupMemory {
                limit: now.limit,
                held_back: now.held_back.saturating_sub(was.held_back),
                reached: now.reached.saturating_sub(was.reached),
                out: now.out.saturating_sub(was.out),
            }
        });
        Environment {
            length,
            pressure: pressure.collect(),
            disks: disks.collect(),
            swapped_in: counted("pswpin"),
            swapped_out: counted("pswpout"),
            major_faults: counted("pgmajfault"),
            own_major_faults: self.children_major_faults.saturating_sub(before.children_major_faults),
            memory,
        }
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123` in microseconds, and the same of `full`.
fn stalls(text: &str) -> (Nanos, Nanos) {
    let total = |kind: &str| {
        let line = text.lines().take(LINES).find(|line| line.split(' ').next() == Some(kind))?;
        let total = line.split(' ').find_map(|word| word.strip_prefix("total="))?;
        Some(Nanos(total.parse::<u64>().ok()?.saturating_mul(1000)))
    };
    (total("some").unwrap_or_default(), total("full").unwrap_or_default())
}

/// Whole devices: what a partition does, its device counts as well.
fn disks(text: &str) -> BTreeMap<u32, Disk> {
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |index: usize| words.get(index)?.parse::<u64>().ok();
        let name = (*words.get(2)?).to_owned();
        let (major, minor) = (u32::try_from(number(0)?).ok()?, u32::try_from(number(1)?).ok()?);
        let disk = Disk {
            device: major.checked_mul(1 << 20)?.checked_add(minor)?,
            requests: number(3)?.saturating_add(number(7)?),
            read_bytes: number(5)?.saturating_mul(SECTOR),
            written_bytes: number(9)?.saturating_mul(SECTOR),
            busy: Nanos(number(12)?.saturating_mul(1_000_000)),
            queued: Nanos(number(13)?.saturating_mul(1_000_000)),
            name,
        };
        Some((disk.device, disk))
    };
    text.lines().take(LINES).filter_map(of_line).collect()
}

fn counters(text: &str) -> BTreeMap<String, u64> {
    const WANTED: [&str; 3] = ["pswpin", "pswpout", "pgmajfault"];
    let of_line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        WANTED.contains(&name).then_some(())?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().take(LINES).filter_map(of_line).collect()
}

/// Directories of our own control groups: of version 2, and of version 1's memory controller.
#[derive(Debug, Default, PartialEq, Eq)]
struct Groups {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
}

impl Groups {
    fn own() -> Groups {
        Groups::of(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"))
    }

    fn of(groups: &str, mounts: &str) -> Groups {
        let mut found = Groups::default();
        for line in groups.lines().take(LINES) {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            if controllers.is_empty() {
                found.unified = directory(mounts, path, |kind, _| kind == "cgroup2");
            } else if controllers.split(',').any(|one| one == "memory") {
                let is_memory =
                    |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|option| option == "memory");
                found.memory = directory(mounts, path, is_memory);
            }
        }
        found
    }

    fn memory(&self) -> Option<GroupMemory> {
        if let Some(group) = self.unified.as_ref().filter(|group| group.join("memory.events").exists()) {
            let events = text(group.join("memory.events"));
            let count = |name: &str| {
                let words = events.lines().take(LINES).find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                words.and_then(|word| word.trim().parse().ok()).unwrap_or(0)
            };
            return Some(GroupMemory {
                limit: text(group.join("memory.max")).trim().parse().ok(),
                held_back: count("high"),
                reached: count("max"),
                out: count("oom"),
            });
        }
        let group = self.memory.as_ref().filter(|group| group.join("memory.failcnt").exists())?;
        let number = |name: &str| text(group.join(name)).trim().parse::<u64>().ok();
        // Without a limit version 1 gives the largest number of pages.
        Some(GroupMemory {
            limit: number("memory.limit_in_bytes").filter(|limit| *limit < 1 << 62),
            held_back: 0,
            reached: number("memory.failcnt").unwrap_or(0),
            out: 0,
        })
    }
}

/// Where the hierarchy is mounted, with `path` below what is mounted there (proc_pid_mountinfo(5)).
fn directory(mounts: &str, path: &str, is_it: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().take(LINES).find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
        is_it(kind, options).then_some(())?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let below = path.strip_prefix(root.trim_end_matches('/'))?;
        Some(Path::new(point).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DISKS: &str = "   8       0 sda 10 0 80 40 20 0 160 300 1 25 340 0 0 0 0 0 0\n 254 1 vda1 0 0\n";

    #[test]
    fn the_difference_of_two_readings() {
        let pressure = |micros| BTreeMap::from([((Scope::Machine, Resource::Io), (Nanos(micros), Nanos(0)))]);
        let before = Reading { disks: disks(DISKS), pressure: pressure(5), ..Reading::default() };
        let later = DISKS.replace(" 10 0 80 40 20 0 160 300 1 25 340 ", " 14 0 180 40 20 0 160 300 1 75 440 ");
        let after = Reading { disks: disks(&later), pressure: pressure(25), ..Reading::default() };
        let environment = after.since(&before, Nanos(9));
        let disk = &environment.disks[0];
        assert_eq!((disk.device, disk.name.as_str(), disk.requests), (8 << 20, "sda", 4));
        assert_eq!((disk.read_bytes, disk.written_bytes), (51_200, 0));
        assert_eq!((disk.busy, disk.queued), (Nanos(50_000_000), Nanos(100_000_000)));
        assert_eq!(environment.pressure[0].some, Nanos(20));
    }

    #[test]
    fn a_stall_s_totals() {
        let text = "some avg10=0.94 avg60=1.15 avg300=1.57 total=678\nfull avg10=0.00 avg60=0.00 avg300=0.30 total=3\n";
        assert_eq!(stalls(text), (Nanos(678_000), Nanos(3_000)));
        assert_eq!(stalls("nothing"), (Nanos(0), Nanos(0)));
    }

    #[test]
    fn our_groups_of_both_versions() {
        let groups = "4:memory:/box/a\n3:cpu,cpuacct:/\n0::/user.slice/x\n";
        let mounts = "29 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      30 23 0:27 /box /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";
        let found = Groups::of(groups, mounts);
        assert_eq!(found.unified, Some("/sys/fs/cgroup/unified/user.slice/x".into()));
        assert_eq!(found.memory, Some("/sys/fs/cgroup/memory/a".into()));
    }

    #[test]
    fn this_machine_can_be_read() {
        let before = Reading::take();
        let environment = Reading::take().since(&before, Nanos(1));
        assert!(before.counters.contains_key("pgmajfault"));
        assert!(environment.disks.iter().all(|disk| disk.requests > 0));
    }

    proptest! {
        #[test]
        fn total_on_any_text(any in ".{0,200}", numbers in proptest::collection::vec(any::<u64>(), 0..20)) {
            let line = numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
            for text in [&any, &line] {
                stalls(text);
                disks(text);
                counters(text);
                Groups::of(text, text);
            }
        }
    }
}
