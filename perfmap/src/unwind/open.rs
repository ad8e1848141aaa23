//! A mapping of a target → the file behind it, opened so that nothing the target can plant misleads us: never a
//! device or FIFO, never a symlink out of its own root.
//!
//! Knows nothing of what is in the file.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

/// Enough to find one mapping's file.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    pub pid: u32,
    pub start: u64,
    pub end: u64,
}

fn flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC
}

/// The file that is mapped there, as the kernel holds it: independent of its path, also when it is deleted.
pub fn mapped_file(sought: Sought) -> Option<File> {
    let Sought { pid, start, end } = sought;
    let path = format!("/proc/{pid}/map_files/{start:x}-{end:x}");
    // O_PATH first: the magic link could lead to a device, and opening one can have effects.
    regular(open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?)?;
    regular(open(path.as_str(), flags(), Mode::empty()).ok()?)
}

/// The file at the path below the process's root directory.
pub fn in_root_of(pid: u32, path: &str) -> Option<File> {
    Root::of(pid)?.open(path)
}

/// A process's root directory, held: its files can still be found when the process is gone.
#[derive(Debug)]
pub struct Root {
    directory: File,
    /// Device and inode. Mount namespaces may share them and differ in what is mounted below.
    pub identity: (u64, u64),
}

impl Root {
    pub fn of(pid: u32) -> Option<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = File::from(open(format!("/proc/{pid}/root").as_str(), flags, Mode::empty()).ok()?);
        let metadata = directory.metadata().ok()?;
        Some(Root { directory, identity: (metadata.dev(), metadata.ino()) })
    }

    /// Links are followed inside it alone.
    pub fn open(&self, path: &str) -> Option<File> {
        self.confined(path, OFlag::empty())
    }

    /// In a directory that anyone may write to: not through a link.
    pub fn open_itself(&self, path: &str) -> Option<File> {
        self.confined(path, OFlag::O_NOFOLLOW)
    }

    fn confined(&self, path: &str, more: OFlag) -> Option<File> {
        let confined = |flags| {
            let how =
                OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
            openat2(&self.directory, path, how)
        };
        regular(confined(OFlag::O_PATH | OFlag::O_CLOEXEC | more).ok()?)?;
        regular(confined(flags() | more).ok()?)
    }
}

/// The file at the path as we see it: for processes that are gone. The caller must compare build ids.
pub fn plain(path: &str) -> Option<File> {
    if !Path::new(path).is_absolute() {
        return None;
    }
    regular(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?)?;
    regular(open(path, flags(), Mode::empty()).ok()?)
}

fn regular(descriptor: OwnedFd) -> Option<File> {
    let file = File::from(descriptor);
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn stays_in_the_root_and_refuses_fifos_and_devices() {
        let us = std::process::id();
        assert!(in_root_of(us, "/bin/true").is_some());
        assert!(in_root_of(us, "/dev/null").is_none());
        assert!(in_root_of(us, "/proc/self/root/bin/true").is_none(), "magic links are not followed");
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/true", directory.path().join("link")).unwrap();
        let link = directory.path().join("link");
        let root = Root::of(us).unwrap();
        assert!(root.open(link.to_str().unwrap()).is_some());
        assert!(root.open_itself(link.to_str().unwrap()).is_none());
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert!(plain(fifo.to_str().unwrap()).is_none());
        assert!(plain("relative").is_none());
    }

    #[test]
    fn opens_a_deleted_file_that_is_still_mapped() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains(" r-xp ") && line.contains('/')).unwrap();
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let Some(mut file) = mapped_file(Sought { pid: std::process::id(), start, end }) else {
            eprintln!("skipped: /proc/PID/map_files needs CAP_CHECKPOINT_RESTORE");
            return;
        };
        let mut magic = [0; 4];
        file.read_exact(&mut magic).unwrap();
        assert_eq!(&magic, b"\x7fELF");
    }
}
