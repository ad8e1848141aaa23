//! What /proc tells about a process right after its execve. Everything read is bounded: arguments and environment are
//! the target's own bytes.

use std::{fs::File, io::Read, path::PathBuf};

use super::surroundings::{self, Whereabouts};

/// Most bytes of arguments that are kept.
const ARGUMENT_BYTES: u64 = 4096;
const ARGUMENTS: usize = 64;
/// An environment can be large; the variable that is looked for may come late.
const ENVIRONMENT_BYTES: u64 = 1 << 20;
const NAME_BYTES: usize = 128;
const STAT_BYTES: u64 = 4096;
/// The kernel's names of tasks are this long at most.
const COMM_BYTES: usize = 15;

/// The parts of `recording::Image` that only a living process can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub executable: String,
    pub arguments: Vec<String>,
    pub working_directory: String,
    pub service_name: Option<String>,
    pub whereabouts: Whereabouts,
}

pub fn read(pid: u32) -> Seen {
    let link = |name: &str| {
        let path: Option<PathBuf> = std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
        path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Seen {
        executable: link("exe"),
        arguments: strings(&bytes(pid, "cmdline", ARGUMENT_BYTES)).take(ARGUMENTS).collect(),
        working_directory: link("cwd"),
        service_name: service_name(&bytes(pid, "environ", ENVIRONMENT_BYTES)),
        whereabouts: surroundings::read(pid),
    }
}

impl Seen {
    /// What the kernel may call a process of this program: after the file, as it was called, or after its script.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        let called = self.arguments.iter().take(2).map(String::as_str);
        called.chain([self.executable.trim_end_matches(" (deleted)")]).map(|path| {
            let base = path.rsplit('/').next().unwrap_or(path);
            base.chars().take(COMM_BYTES).collect()
        })
    }

    /// False: it gave itself this name.
    pub fn may_be_called(&self, comm: &str) -> bool {
        self.names().any(|name| name == comm)
    }
}

/// Of a process that ran before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    pub comm: String,
    pub parent: u32,
    /// Clock ticks since the machine started: with the pid an identity that lasts.
    pub started: u64,
}

pub fn stat(pid: u32) -> Option<Stat> {
    let text = bytes(pid, "stat", STAT_BYTES);
    // The name may hold anything, parentheses too.
    let (open, close) = (text.iter().position(|byte| *byte == b'(')?, text.iter().rposition(|byte| *byte == b')')?);
    let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
    let rest = String::from_utf8_lossy(text.get(close + 1..)?).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, comm, parent, started })
}

/// All processes of the machine now.
pub fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// What the command line says now: a program that gives itself a title writes over its arguments.
pub fn title(pid: u32) -> String {
    let text = bytes(pid, "cmdline", NAME_BYTES as u64);
    let first = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(first).trim().to_owned()
}

fn service_name(environment: &[u8]) -> Option<String> {
    let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"OTEL_SERVICE_NAME="))?;
    let value = &value[..value.len().min(NAME_BYTES)];
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

fn strings(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let parts = bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    parts.filter(move |_| !bytes.is_empty())
}

pub fn bytes(pid: u32, name: &str, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{name}")) {
        let _ = file.take(limit).read_to_end(&mut bytes); // a process that ends midway leaves what was read
    }
    bytes
}

/// Threads of a process now, sorted; empty where it is gone.
pub fn threads(pid: u32, most: usize) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut tids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(most).collect();
    tids.sort_unstable();
    tids
}

/// A thread's name, as the kernel keeps it; all 0 where it is gone.
pub fn comm(pid: u32, tid: u32) -> [u8; 16] {
    let mut comm = [0; 16];
    let text = bytes(pid, &format!("task/{tid}/comm"), 64);
    for (to, from) in comm.iter_mut().zip(text.iter().take(COMM_BYTES).take_while(|byte| **byte != b'\n')) {
        *to = *from;
    }
    comm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let seen = read(std::process::id());
        assert!(!seen.executable.is_empty());
        assert!(!seen.arguments.is_empty());
        assert_eq!(seen.working_directory, std::env::current_dir().expect("a directory").to_string_lossy());
    }

    #[test]
    fn knows_its_own_parent_and_birth() {
        let me = stat(std::process::id()).expect("own stat");
        assert_eq!(me.parent, std::os::unix::process::parent_id());
        assert!(me.started > 0 && !me.comm.is_empty());
        assert!(all().contains(&std::process::id()));
        assert_eq!(stat(u32::MAX), None);
    }

    #[test]
    fn a_name_of_its_own_is_none_of_its_programs() {
        let seen = Seen {
            executable: "/usr/bin/python3.11".into(),
            arguments: vec![".venv/bin/python".into(), "/srv/a_long_script_name.py".into()],
            ..Seen::default()
        };
        for comm in ["python", "python3.11", "a_long_script_n"] {
            assert!(seen.may_be_called(comm), "{comm}");
        }
        assert!(!seen.may_be_called("mt-engine"));
    }

    #[test]
    fn finds_the_service_name() {
        assert_eq!(service_name(b"A=1\0OTEL_SERVICE_NAME=api\0B=2\0").as_deref(), Some("api"));
        assert_eq!(service_name(b"XOTEL_SERVICE_NAME=api\0"), None);
        assert_eq!(service_name(b"OTEL_SERVICE_NAME=\0"), None);
    }

    #[test]
    fn a_dead_process_tells_nothing() {
        assert_eq!(read(u32::MAX), Seen::default());
    }
}
