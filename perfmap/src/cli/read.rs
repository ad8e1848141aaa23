//! Files that the user named → their bytes, bounded, and with no more rights than the user has.
//!
//! perfmap runs as root. A path that somebody typed, or a link that it leads through, may point to what only root can
//! read, and any check before the read can be outrun. So the kernel does the check: while the file is opened, this
//! thread's file system identity is the invoking user's.

use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::errors::Failure;
use crate::report::files::Owner;

/// While it lives, this thread touches files as the owner.
#[derive(Debug)]
pub struct AsOwner(Option<(Uid, Gid)>);

impl AsOwner {
    pub fn begin(owner: Option<Owner>) -> AsOwner {
        // The group first: without root's file system identity nothing else changes, but the order is one less worry.
        AsOwner(owner.map(|Owner { uid, gid }| {
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

/// At most `limit` bytes; a larger file is an error and not cut.
pub fn read_bounded(path: &Path, owner: Option<Owner>, limit: u64) -> Result<Vec<u8>, Failure> {
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
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn root_reads_no_more_than_the_user_could() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let base = tempfile::tempdir().expect("directory");
        let path = base.path().join("secret");
        std::fs::write(&path, "x").expect("written");
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let nobody = Some(Owner { uid: 65534, gid: 65534 });
        assert_eq!(read_bounded(&path, nobody, 9).expect_err("not theirs").exit_code(), 2);
        assert_eq!(read_bounded(&path, None, 9).expect("root's own identity is back"), b"x");
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
