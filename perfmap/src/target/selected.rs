//! What a person calls a running service (a pid, a container's id, a unit's name) → the processes that are meant.
//!
//! Containers and units are found by the control groups that their processes lie in: the same names under version 1 and
//! 2, whoever made them (systemd, Docker, Podman, containerd, runc).

use std::{collections::BTreeSet, fs, io::Read};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    Pid(u32),
    /// The beginning of its id, or the name that runc knows it by.
    Container(String),
    /// With or without `.service`.
    Unit(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("there is no process {0}")]
    NoSuchProcess(u32),
    #[error("process {0} has ended: only its parent still has to ask for its exit code")]
    Ended(u32),
    #[error("process {0} is a thread of the kernel")]
    OfTheKernel(u32),
    #[error("process {0} is perfmap itself")]
    Itself(u32),
    #[error("no process runs in a container {0}")]
    NoContainer(String),
    #[error("{id} is the beginning of more than one container's id: {}", of.join(", "))]
    Ambiguous { id: String, of: Vec<String> },
    #[error("no process runs in a unit {0}")]
    NoUnit(String),
}

/// Shorter ones would match by chance.
const SHORTEST_ID: usize = 4;
const ID_DIGITS: usize = 64;
const CGROUP_BYTES: u64 = 64 << 10;
const STAT_BYTES: u64 = 4096;
// include/linux/sched.h
const PF_KTHREAD: u64 = 0x0020_0000;

/// The pids, sorted.
pub fn select(selectors: &[Selector]) -> Result<Vec<u32>, SelectError> {
    let mut found = BTreeSet::new();
    for selector in selectors {
        match selector {
            Selector::Pid(pid) => found.extend([checked(*pid)?]),
            Selector::Container(id) => found.extend(in_container(id, &groups())?),
            Selector::Unit(name) => found.extend(in_unit(name, &groups())?),
        }
    }
    found.remove(&std::process::id());
    Ok(found.into_iter().collect())
}

fn checked(pid: u32) -> Result<u32, SelectError> {
    if pid == std::process::id() {
        return Err(SelectError::Itself(pid));
    }
    let text = read(&format!("/proc/{pid}/stat"), STAT_BYTES);
    let mut fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let (state, flags) = (fields.next(), fields.nth(5).and_then(|flags| flags.parse::<u64>().ok()));
    match (state, flags) {
        (None, _) => Err(SelectError::NoSuchProcess(pid)),
        (Some("Z" | "X"), _) => Err(SelectError::Ended(pid)),
        (Some(_), Some(flags)) if flags & PF_KTHREAD != 0 => Err(SelectError::OfTheKernel(pid)),
        (Some(_), _) => Ok(pid),
    }
}

/// The names on the path of every process's control groups.
type Groups = Vec<(u32, BTreeSet<String>)>;

fn groups() -> Groups {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Groups = pids.map(|pid| (pid, names(&read(&format!("/proc/{pid}/cgroup"), CGROUP_BYTES)))).collect();
    found.sort();
    found
}

/// Of `5:cpu,cpuacct:/system.slice/x.service` and `0::/…` lines.
fn names(text: &str) -> BTreeSet<String> {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.flat_map(|path| path.split('/')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `ID`.
fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let last = name.rsplit(['-', ':']).next().unwrap_or(name);
    (last.len() == ID_DIGITS && last.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(last)
}

fn in_container(wanted: &str, groups: &Groups) -> Result<Vec<u32>, SelectError> {
    let none = || SelectError::NoContainer(wanted.to_owned());
    if wanted.len() < SHORTEST_ID {
        return Err(none());
    }
    let mut ids = BTreeSet::new();
    let mut found = Vec::new();
    for (pid, names) in groups {
        let of_process = names.iter().filter_map(|name| container_id(name)).find(|id| id.starts_with(wanted));
        if let Some(id) = of_process.or_else(|| names.contains(wanted).then_some(wanted)) {
            ids.insert(id.to_owned());
            found.push(*pid);
        }
    }
    match ids.len() {
        0 => Err(none()),
        1 => Ok(found),
        _ => Err(SelectError::Ambiguous { id: wanted.to_owned(), of: ids.into_iter().collect() }),
    }
}

fn in_unit(wanted: &str, groups: &Groups) -> Result<Vec<u32>, SelectError> {
    let full = if wanted.contains('.') { wanted.to_owned() } else { format!("{wanted}.service") };
    let found: Vec<u32> = groups.iter().filter(|(_, names)| names.contains(&full)).map(|(pid, _)| *pid).collect();
    if found.is_empty() { Err(SelectError::NoUnit(full)) } else { Ok(found) }
}

/// Empty where it cannot be read.
fn read(path: &str, limit: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(limit).read_to_end(&mut bytes); // a process that ends midway leaves what was read
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Groups {
        let docker = "a".repeat(64);
        let pod = format!("ab{}", "c".repeat(62));
        let of = |text: &str| names(text);
        vec![
            (10, of(&format!("0::/system.slice/docker-{docker}.scope"))),
            (11, of(&format!("5:memory:/docker/{docker}\n1:name=systemd:/docker/{docker}/inner"))),
            (12, of(&format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{pod}.scope"))),
            (13, of("0::/system.slice/redis-server.service")),
            (14, of("0::/mine")),
        ]
    }

    #[test]
    fn containers_by_the_beginning_of_their_id_or_their_name() {
        assert_eq!(in_container("aaaa", &groups()), Ok(vec![10, 11]));
        assert_eq!(in_container("abcc", &groups()), Ok(vec![12]));
        assert_eq!(in_container("mine", &groups()), Ok(vec![14]));
        assert_eq!(in_container("a", &groups()), Err(SelectError::NoContainer("a".into())));
        let mut two = groups();
        two.push((15, names(&format!("0::/docker/aaaa{}", "b".repeat(60)))));
        assert!(matches!(in_container("aaaa", &two), Err(SelectError::Ambiguous { .. })));
    }

    #[test]
    fn units_with_and_without_their_ending() {
        assert_eq!(in_unit("redis-server", &groups()), Ok(vec![13]));
        assert_eq!(in_unit("redis-server.service", &groups()), Ok(vec![13]));
        assert_eq!(in_unit("redis", &groups()), Err(SelectError::NoUnit("redis.service".into())));
    }

    #[test]
    fn processes_that_cannot_be_watched() {
        let me = std::process::id();
        assert_eq!(select(&[Selector::Pid(me)]), Err(SelectError::Itself(me)));
        assert_eq!(select(&[Selector::Pid(u32::MAX)]), Err(SelectError::NoSuchProcess(u32::MAX)));
        let mut child = std::process::Command::new("/bin/true").spawn().expect("/bin/true runs");
        let parent = std::os::unix::process::parent_id();
        assert_eq!(select(&[Selector::Pid(parent)]), Ok(vec![parent]));
        let pid = child.id();
        let ended = || matches!(select(&[Selector::Pid(pid)]), Err(SelectError::Ended(_)));
        assert!((0..500).any(|_| ended() || {
            std::thread::sleep(std::time::Duration::from_millis(10));
            false
        }));
        let _ = child.wait();
    }
}
