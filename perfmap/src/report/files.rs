//! Rendered files → an output directory: all or none, atomically, owned by the invoking user.
//!
//! perfmap runs as root in directories that the user, and the target, can write to. So every component of the path is
//! opened below the one before it, without following links that somebody else than root (or we) planted; files come
//! into being under a new name and replace the old ones by renaming, which follows no link either.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::{
        stat::{Mode, fchmod, fstatat, mkdirat},
        statvfs::fstatvfs,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat},
};

use super::OutputFile;

/// Less room than this and the disk counts as full before the target starts: the smallest set of outputs.
const LEAST_ROOM: u64 = 1024 * 1024;
const NEW_NAMES_TRIED: u32 = 100;

/// To whom files and new directories are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{path} is not writable: {reason}")]
    NotWritable { path: PathBuf, reason: io::Error },
    #[error("no space left on the disk of {path}")]
    DiskFull { path: PathBuf },
    #[error("{path} is a symbolic link of another user than root: it is not followed")]
    Link { path: PathBuf },
    #[error("{path} is not a directory")]
    NotADirectory { path: PathBuf },
    #[error("{name:?} is not a plain file name")]
    BadName { name: String },
}

impl FilesError {
    fn of(path: &Path, errno: Errno) -> FilesError {
        let path = path.to_owned();
        match errno {
            Errno::ENOSPC | Errno::EDQUOT => FilesError::DiskFull { path },
            Errno::ENOTDIR => FilesError::NotADirectory { path },
            Errno::ELOOP => FilesError::Link { path },
            other => FilesError::NotWritable { path, reason: other.into() },
        }
    }
}

/// Finds out before the target starts what can be known then. Leaves nothing behind: directories are not made.
pub fn check_writable(directory: &Path) -> Result<(), FilesError> {
    let (parent, path) = walk(directory, Missing::Stop)?;
    let (name, file) = create_new(&parent, "check").map_err(|errno| FilesError::of(&path, errno))?;
    drop(file);
    unlink(&parent, &name);
    let room = fstatvfs(&parent).map_err(|errno| FilesError::of(&path, errno))?;
    // The types of these fields differ between targets.
    #[allow(clippy::unnecessary_cast)]
    let free = (room.blocks_available() as u64).saturating_mul(room.fragment_size() as u64);
    if free < LEAST_ROOM { Err(FilesError::DiskFull { path }) } else { Ok(()) }
}

/// Writes the set: on an error none of the files is replaced, as far as renaming does not fail. Returns their paths.
pub fn write_all(directory: &Path, owner: Option<Owner>, files: &[OutputFile]) -> Result<Vec<PathBuf>, FilesError> {
    for file in files {
        let mut parts = Path::new(&file.name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == OsStr::new(&file.name))
        {
            return Err(FilesError::BadName { name: file.name.clone() });
        }
    }
    let (parent, _) = walk(directory, Missing::Create(owner))?;
    let mut ready: Vec<(String, &OutputFile)> = vec![];
    let written = files.iter().try_for_each(|file| {
        let path = directory.join(&file.name);
        let (name, handle) = create_new(&parent, &file.name).map_err(|errno| FilesError::of(&path, errno))?;
        ready.push((name, file));
        fill(handle, &file.bytes, owner).map_err(|errno| FilesError::of(&path, errno))
    });
    let renamed = written.and_then(|()| {
        while let Some((name, file)) = ready.pop() {
            let path = directory.join(&file.name);
            if let Err(errno) = renameat(&parent, name.as_str(), &parent, file.name.as_str()) {
                ready.push((name, file));
                return Err(FilesError::of(&path, errno));
            }
        }
        nix::unistd::fsync(&parent).map_err(|errno| FilesError::of(directory, errno))
    });
    for (name, _) in ready {
        unlink(&parent, &name);
    }
    renamed.map(|()| files.iter().map(|file| directory.join(&file.name)).collect())
}

/// Given away last: until then nobody but us can open it.
fn fill(handle: OwnedFd, bytes: &[u8], owner: Option<Owner>) -> Result<(), Errno> {
    let mut file = File::from(handle);
    file.write_all(bytes).map_err(errno_of)?;
    fchmod(&file, Mode::from_bits_truncate(0o644))?;
    give(&file, owner)?;
    file.sync_all().map_err(errno_of)
}

fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn give(file: impl AsFd, owner: Option<Owner>) -> Result<(), Errno> {
    match owner {
        Some(Owner { uid, gid }) => fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))),
        None => Ok(()),
    }
}

fn unlink(parent: &OwnedFd, name: &str) {
    // A left-over temporary file is all that can come of a failure here, and the error that led here is reported.
    let _ = unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
}

/// A new file that nothing had the name of.
fn create_new(parent: &OwnedFd, name: &str) -> Result<(String, OwnedFd), Errno> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let pid = std::process::id();
    for attempt in 0..NEW_NAMES_TRIED {
        let name = format!(".{name}.{pid}-{attempt}.new");
        match openat(parent, name.as_str(), flags, Mode::from_bits_truncate(0o600)) {
            Ok(file) => return Ok((name, file)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EEXIST)
}

/// What to do where the path ends before it should.
#[derive(Clone, Copy)]
enum Missing {
    /// The deepest directory that there is.
    Stop,
    Create(Option<Owner>),
}

/// Opens a directory one component after the other. Returns it with the path as far as it was walked.
fn walk(directory: &Path, missing: Missing) -> Result<(OwnedFd, PathBuf), FilesError> {
    let start = if directory.is_absolute() { "/" } else { "." };
    let mut path = PathBuf::from(start);
    let mut at = nix::fcntl::open(start, opening(), Mode::empty()).map_err(|errno| FilesError::of(&path, errno))?;
    for component in directory.components() {
        let name = match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            Component::ParentDir => OsStr::new(".."),
            Component::Normal(name) => name,
        };
        let below = path.join(name);
        at = match (step(&at, name), missing) {
            (Ok(next), _) => next,
            (Err(Errno::ENOENT), Missing::Stop) => return Ok((at, path)),
            (Err(Errno::ENOENT), Missing::Create(owner)) => {
                create(&at, name, owner).map_err(|errno| FilesError::of(&below, errno))?
            }
            (Err(errno), _) => return Err(FilesError::of(&below, errno)),
        };
        path = below;
    }
    Ok((at, path))
}

fn opening() -> OFlag {
    OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC
}

/// One component. A link is followed only where root made it (`/var/run`), or whoever we are.
fn step(at: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let refused = match openat(at, name, opening() | OFlag::O_NOFOLLOW, Mode::empty()) {
        // With O_DIRECTORY the kernel says ENOTDIR for a link.
        Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) => errno,
        other => return other,
    };
    let found = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if found.st_mode & libc::S_IFMT != libc::S_IFLNK {
        return Err(refused);
    }
    if found.st_uid == 0 || found.st_uid == geteuid().as_raw() {
        openat(at, name, opening(), Mode::empty())
    } else {
        Err(Errno::ELOOP)
    }
}

fn create(at: &OwnedFd, name: &OsStr, owner: Option<Owner>) -> Result<OwnedFd, Errno> {
    match mkdirat(at, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) => {
            let made = openat(at, name, opening() | OFlag::O_NOFOLLOW, Mode::empty())?;
            give(&made, owner)?;
            Ok(made)
        }
        // Somebody was faster; whatever it is, it is opened with the same care.
        Err(Errno::EEXIST) => step(at, name),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
