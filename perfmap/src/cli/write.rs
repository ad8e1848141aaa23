//! Files of one run → a directory of the invoking user's: whole or not at all, and with no more rights than theirs.
//!
//! perfmap runs as root in directories that belong to others. A path there can be a link to anywhere, and any check
//! before the write can be outrun. So the kernel does the check: while files are touched, this thread's file system
//! identity is the invoking user's. What they could not write, perfmap does not write, and what it writes is theirs.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::errors::Failure;

/// A directory that was writable when it was prepared.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    owner: Option<(u32, u32)>,
}

/// While it lives, this thread touches files as the owner.
struct AsOwner(Option<(Uid, Gid)>);

impl AsOwner {
    fn begin(owner: Option<(u32, u32)>) -> AsOwner {
        // The group first: without root's file system identity nothing else changes, but the order is one less worry.
        AsOwner(owner.map(|(uid, gid)| {
            let before = setfsgid(Gid::from_raw(gid));
            (setfsuid(Uid::from_raw(uid)), before)
        }))
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.0 {
            setfsuid(uid);
            setfsgid(gid);
        }
    }
}

impl Directory {
    /// Makes it where it is missing, and proves by a file that it can be written, before the command is started.
    pub fn prepare(path: &Path, owner: Option<(u32, u32)>) -> Result<Directory, Failure> {
        let directory = Directory { path: path.to_owned(), owner };
        let _identity = AsOwner::begin(owner);
        let failed = |error| Failure::Output { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
        let probe = directory.temporary("probe");
        // A disk can have room for a name and none for bytes.
        let written = create(&probe).and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_data()));
        let _ = std::fs::remove_file(&probe);
        written.map_err(failed)?;
        Ok(directory)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Readers see the old file or the new one, never a part.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let _identity = AsOwner::begin(self.owner);
        let (temporary, path) = (self.temporary(name), self.path.join(name));
        let written = create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| std::fs::rename(&temporary, &path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            Failure::Output { path, error }
        })
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.path.join(format!(".{name}.{}.tmp", std::process::id()))
    }
}

/// `create_new` follows no link and takes over no file of somebody else's.
fn create(path: &Path) -> std::io::Result<File> {
    let make = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    match make() {
        // Left behind by a killed perfmap of the same number.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            make()
        }
        other => other,
    }
}

/// At most `limit` bytes; a larger file is an error and not cut.
pub fn read_bounded(path: &Path, owner: Option<(u32, u32)>, limit: u64) -> Result<Vec<u8>, Failure> {
    let _identity = AsOwner::begin(owner);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::NotFound { path: path.to_owned(), nearest: neighbours(path) },
        _ => Failure::Input { path: path.to_owned(), error },
    };
    // A named pipe would wait forever for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(std::io::Error::other(format!("larger than {} MiB", limit >> 20))));
    }
    Ok(bytes)
}

/// Names beside a missing file that share its ending; three at most.
fn neighbours(path: &Path) -> Vec<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|other| other.extension().is_some() && other.extension() == path.extension())
        .map(|other| other.display().to_string())
        .collect();
    names.sort();
    names.truncate(3);
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn makes_writes_and_replaces() {
        let base = tempfile::tempdir().expect("directory");
        let path = base.path().join("a/b");
        let directory = Directory::prepare(&path, None).expect("writable");
        directory.write("map.yaml", b"one").expect("written");
        directory.write("map.yaml", b"two").expect("replaced");
        assert_eq!(std::fs::read(path.join("map.yaml")).expect("there"), b"two");
        let names: Vec<_> = std::fs::read_dir(&path).expect("there").collect();
        assert_eq!(names.len(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_file_in_the_way_is_told_before() {
        let base = tempfile::tempdir().expect("directory");
        let path = base.path().join("file");
        std::fs::write(&path, "").expect("written");
        let failure = Directory::prepare(&path, None).expect_err("not a directory");
        assert_eq!(failure.exit_code(), 5);
    }

    #[test]
    fn root_writes_no_more_than_the_owner_could() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let base = tempfile::tempdir().expect("directory");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
        };
        mode(base.path(), 0o777);
        let private = base.path().join("private");
        std::fs::create_dir(&private).expect("made");
        mode(&private, 0o700);
        symlink(&private, base.path().join("link")).expect("linked");
        let owner = Some((65534, 65534));
        assert_eq!(Directory::prepare(&base.path().join("link"), owner).expect_err("refused").exit_code(), 5);
        let good = Directory::prepare(&base.path().join("own"), owner).expect("writable by all");
        good.write("f", b"x").expect("written");
        let facts = std::fs::metadata(base.path().join("own/f")).expect("there");
        assert_eq!((facts.uid(), facts.gid()), (65534, 65534));
        assert!(private.read_dir().expect("still root").next().is_none());
        Directory::prepare(&private, None).expect("root's own identity is back");
    }

    #[test]
    fn bounded_reading() {
        let base = tempfile::tempdir().expect("directory");
        let path = base.path().join("a.perfmap");
        std::fs::write(&path, [7; 100]).expect("written");
        assert_eq!(read_bounded(&path, None, 100).expect("fits").len(), 100);
        assert_eq!(read_bounded(&path, None, 99).expect_err("too large").exit_code(), 2);
        assert_eq!(read_bounded(base.path(), None, 99).expect_err("a directory").exit_code(), 2);
        match read_bounded(&base.path().join("b.perfmap"), None, 99).expect_err("missing") {
            Failure::NotFound { nearest, .. } => assert_eq!(nearest, [path.display().to_string()]),
            other => panic!("{other}"),
        }
    }
}
