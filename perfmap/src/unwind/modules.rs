//! Mapped paths and build ids → one module per distinct file, opened when it is first seen and kept open, so that its
//! symbols can be looked up after the process is gone or the file is deleted.
//!
//! Knows nothing of addresses in processes; reads a file's unwind sections only when a stack first runs through it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};
use rustc_hash::FxHashMap;

use super::elf::{BUILD_ID_BYTES, Image, read_build_id, read_image};
use super::open::{Root, Sought, in_root_of, mapped_file, plain};
use super::spaces::Mapping;
use crate::recording::{Module, ModuleId, Unnamed};

/// Most files that are held open. A Python process maps some 50, a desktop browser 250.
const OPEN_FILES: usize = 8192;

/// The file behind one module, or why there is none.
#[derive(Debug)]
pub enum ModuleFile {
    Open(Arc<File>),
    Missing(Unnamed),
}

/// All modules' files, by [`ModuleId`].
#[derive(Debug, Default)]
pub struct ModuleFiles {
    files: Vec<ModuleFile>,
}

impl ModuleFiles {
    pub fn file(&self, id: ModuleId) -> Result<&File, Unnamed> {
        match self.files.get(id.0 as usize) {
            Some(ModuleFile::Open(file)) => Ok(file),
            Some(ModuleFile::Missing(reason)) => Err(*reason),
            None => Err(Unnamed::FileGone),
        }
    }

    fn shared(&self, id: ModuleId) -> Option<Arc<File>> {
        match self.files.get(id.0 as usize)? {
            ModuleFile::Open(file) => Some(Arc::clone(file)),
            ModuleFile::Missing(_) => None,
        }
    }

    pub fn push(&mut self, file: ModuleFile) {
        self.files.push(file);
    }

    fn open(&self) -> usize {
        self.files.iter().filter(|file| matches!(file, ModuleFile::Open(_))).count()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Path and the first bytes of the build id.
    BuildId(String, Vec<u8>),
    /// Path, device and inode of a file without build id.
    Inode(String, u64, u64),
    /// Not a file, or one that could not be opened.
    Path(String),
}

/// What kind of thing a mapping's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backing {
    File,
    /// Had a file; its path names it no more. Reachable through the mapping only.
    Pathless,
    Vdso,
    None,
}

fn backing(path: &str) -> Backing {
    if path == "[vdso]" {
        Backing::Vdso
    } else if path.starts_with("/memfd:") || path.starts_with("/SYSV") || path.ends_with(" (deleted)") {
        Backing::Pathless
    } else if path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/dev/") {
        Backing::File
    } else {
        // [heap], [stack], [vsyscall], //anon, anon_inode:…, and device mappings.
        Backing::None
    }
}

/// All files that were seen mapped.
#[derive(Debug, Default)]
pub struct Modules {
    modules: Vec<Module>,
    files: ModuleFiles,
    /// Read on first use; None: could not be read.
    images: FxHashMap<ModuleId, Option<Arc<Image>>>,
    by_key: FxHashMap<Key, ModuleId>,
    /// By build id: a module whose file is open.
    by_build_id: FxHashMap<Vec<u8>, ModuleId>,
}

impl Modules {
    /// The module of a mapping; at first sight its file is opened. `root`: the process's root directory, where that is
    /// not ours.
    pub fn see(&mut self, pid: u32, mapping: &Mapping, root: Option<&Root>) -> ModuleId {
        let known = mapping.build_id.as_deref().map(cut).filter(|id| !id.is_empty());
        let path = mapping.path.strip_suffix(" (deleted)").unwrap_or(&mapping.path).to_owned();
        let backing = backing(&mapping.path);
        match (backing, known) {
            (Backing::Vdso, _) => self.keep(Key::Path(path), &[], vdso),
            (Backing::None, _) => self.keep(Key::Path(path), &[], || Err(Unnamed::NoFile)),
            (Backing::File | Backing::Pathless, Some(id)) => {
                self.keep(Key::BuildId(path, id.to_vec()), id, || find_with_build_id(pid, mapping, backing, root, id))
            }
            (Backing::File | Backing::Pathless, None) => self.see_without_build_id(pid, mapping, backing, root, path),
        }
    }

    /// The kernel told no build id (mapping read from /proc, or a file without one): the file itself must tell.
    fn see_without_build_id(
        &mut self,
        pid: u32,
        mapping: &Mapping,
        backing: Backing,
        root: Option<&Root>,
        path: String,
    ) -> ModuleId {
        let Some(file) = find_by_process(pid, mapping, backing) else {
            // A file that still has no build id may well be the one that was mapped; any other is not.
            let file = in_its_root(root, &path)
                .filter(|file| backing == Backing::File && read_build_id(file).is_ok_and(|id| id.is_empty()));
            return self.keep(Key::Path(path), &[], || file.ok_or(Unnamed::FileGone));
        };
        let Ok(metadata) = file.metadata() else {
            return self.keep(Key::Path(path), &[], || Err(Unnamed::FileGone));
        };
        let inode = Key::Inode(path.clone(), metadata.dev(), metadata.ino());
        if let Some(id) = self.by_key.get(&inode) {
            return *id;
        }
        let build_id = read_build_id(&file).unwrap_or_default();
        let module = if build_id.is_empty() {
            self.keep(inode.clone(), &[], || Ok(file))
        } else {
            self.keep(Key::BuildId(path, build_id.clone()), &build_id, || Ok(file))
        };
        self.by_key.insert(inode, module);
        module
    }

    fn keep(&mut self, key: Key, build_id: &[u8], find: impl FnOnce() -> Result<File, Unnamed>) -> ModuleId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = ModuleId(self.modules.len() as u32);
        let same = self.by_build_id.get(build_id).copied();
        let path = match &key {
            Key::BuildId(path, _) | Key::Inode(path, _, _) | Key::Path(path) => path.clone(),
        };
        let found = if self.files.open() < OPEN_FILES { find() } else { Err(Unnamed::FileGone) };
        let found = found.map(Arc::new).or_else(|reason| {
            // The same program under another path: in another container, say.
            same.and_then(|same| self.files.shared(same)).ok_or(reason)
        });
        self.files.push(match found {
            Ok(file) => {
                if !build_id.is_empty() {
                    self.by_build_id.entry(build_id.to_vec()).or_insert(id);
                }
                ModuleFile::Open(file)
            }
            Err(reason) => ModuleFile::Missing(reason),
        });
        self.modules.push(Module { path, build_id: hexadecimal(build_id) });
        self.by_key.insert(key, id);
        id
    }

    /// The parts of a module's file that unwinding needs, read at the first call.
    pub fn image(&mut self, id: ModuleId) -> Option<Arc<Image>> {
        let files = &self.files;
        self.images.entry(id).or_insert_with(|| read_image(files.file(id).ok()?).ok().map(Arc::new)).clone()
    }

    pub fn path(&self, id: ModuleId) -> Option<&str> {
        self.modules.get(id.0 as usize).map(|module| module.path.as_str())
    }

    /// The vdso is mapped whole; the kernel's file offset for it is not one.
    pub fn is_vdso(&self, id: ModuleId) -> bool {
        self.path(id) == Some("[vdso]")
    }

    /// Not a file: anonymous memory, generated code.
    pub fn is_anonymous(&self, id: ModuleId) -> bool {
        matches!(self.files.file(id), Err(Unnamed::NoFile))
    }

    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    pub fn files(&self) -> &ModuleFiles {
        &self.files
    }

    /// For the recording, and for naming its frames.
    pub fn into_parts(self) -> (Vec<Module>, ModuleFiles) {
        (self.modules, self.files)
    }
}

/// The file of a mapping that was just reported, opened as [`Modules::see`] opens it.
pub fn open_mapped(pid: u32, mapping: &Mapping) -> Result<File, Unnamed> {
    let backing = backing(&mapping.path);
    match (backing, mapping.build_id.as_deref().map(cut)) {
        (Backing::Vdso | Backing::None, _) => Err(Unnamed::NoFile),
        (Backing::File | Backing::Pathless, Some(id)) if !id.is_empty() => {
            find_with_build_id(pid, mapping, backing, None, id)
        }
        (Backing::File | Backing::Pathless, _) => find_by_process(pid, mapping, backing).ok_or(Unnamed::FileGone),
    }
}

/// A file by its path in our own root: a regular one, or none.
pub fn open_plain(path: &str) -> Option<File> {
    plain(path)
}

fn find_by_process(pid: u32, mapping: &Mapping, backing: Backing) -> Option<File> {
    let Mapping { start, length, path, .. } = mapping;
    let sought = Sought { pid, start: *start, end: start.saturating_add(*length) };
    mapped_file(sought).or_else(|| if backing == Backing::File { in_root_of(pid, path) } else { None })
}

/// The file at the path for a process that is gone: in the root directory that it had.
fn in_its_root(root: Option<&Root>, path: &str) -> Option<File> {
    match root {
        Some(root) => root.open(path),
        None => plain(path),
    }
}

fn find_with_build_id(
    pid: u32,
    mapping: &Mapping,
    backing: Backing,
    root: Option<&Root>,
    expected: &[u8],
) -> Result<File, Unnamed> {
    let mut reason = Unnamed::FileGone;
    let mut check = |file: File| match read_build_id(&file) {
        Ok(found) if found == expected => Some(file),
        Ok(_) | Err(_) => {
            reason = Unnamed::FileChanged;
            None
        }
    };
    let found = find_by_process(pid, mapping, backing).and_then(&mut check).or_else(|| {
        let path = mapping.path.strip_suffix(" (deleted)").unwrap_or(&mapping.path);
        in_its_root(root, path).and_then(&mut check)
    });
    found.ok_or(reason)
}

/// The kernel maps the same vdso into every process of one word size: ours, copied into a file of its own.
fn vdso() -> Result<File, Unnamed> {
    let image = super::vdso::image().ok_or(Unnamed::NoFile)?;
    let mut file = File::from(memfd_create("vdso", MFdFlags::MFD_CLOEXEC).map_err(|_| Unnamed::FileGone)?);
    file.write_all(&image).map_err(|_| Unnamed::FileGone)?;
    Ok(file)
}

fn cut(id: &[u8]) -> &[u8] {
    id.get(..BUILD_ID_BYTES).unwrap_or(id)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(path: &str, build_id: Option<Vec<u8>>) -> Mapping {
        Mapping { start: 0x1000, length: 0x1000, file_offset: 0, path: path.to_owned(), build_id }
    }

    #[test]
    fn one_module_per_file_and_reasons_for_the_rest() {
        let us = std::process::id();
        let mut modules = Modules::default();
        let shell = modules.see(us, &mapping("/bin/sh", None), None);
        assert_eq!(modules.see(us, &mapping("/bin/sh", None), None), shell);
        assert!(modules.files().file(shell).is_ok());
        let build_id = modules.image(shell).unwrap().build_id.clone();
        assert_eq!(modules.see(us, &mapping("/bin/sh", Some(build_id)), None), shell, "the same file both ways");
        for (path, build_id, reason) in [
            ("//anon", None, Unnamed::NoFile),
            ("[vsyscall]", None, Unnamed::NoFile),
            ("anon_inode:[io_uring]", None, Unnamed::NoFile),
            ("/dev/nvidia0", None, Unnamed::NoFile),
            ("/nowhere/libx.so", None, Unnamed::FileGone),
            ("/nowhere/libx.so", Some(vec![1; 20]), Unnamed::FileGone),
            ("/bin/true (deleted)", None, Unnamed::FileGone),
            ("/bin/true", Some(vec![1; 20]), Unnamed::FileChanged),
        ] {
            let id = modules.see(us, &mapping(path, build_id), None);
            assert_eq!(modules.files().file(id).err(), Some(reason), "{path}");
        }
    }

    /// No process has this number, so only the root directory and the build id are left.
    const NOBODY: u32 = u32::MAX;

    #[test]
    fn files_of_the_dead_are_found_in_their_own_root_or_by_their_build_id() {
        let us = std::process::id();
        let root = Root::of(us).unwrap();
        let mut modules = Modules::default();
        let file = File::open("/bin/sh").unwrap();
        let build_id = read_build_id(&file).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = elsewhere.path().join("in/its/root");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy("/bin/sh", &path).unwrap();
        let inside = path.to_str().unwrap();
        let id = modules.see(NOBODY, &mapping(inside, Some(build_id.clone())), Some(&root));
        assert!(modules.files().file(id).is_ok());
        let id = modules.see(NOBODY, &mapping("/gone/sh", Some(build_id)), Some(&root));
        assert!(modules.files().file(id).is_ok(), "the same program at another path");
        let id = modules.see(NOBODY, &mapping("/gone/other", Some(vec![7; 20])), Some(&root));
        assert_eq!(modules.files().file(id).err(), Some(Unnamed::FileGone));
    }

    #[test]
    fn the_vdso_is_an_elf_file() {
        let mut modules = Modules::default();
        let id = modules.see(std::process::id(), &mapping("[vdso]", None), None);
        assert!(modules.image(id).unwrap().eh_frame.is_some());
    }

    #[test]
    fn a_file_that_is_deleted_later_stays_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::copy("/bin/true", &path).unwrap();
        let mut modules = Modules::default();
        let id = modules.see(std::process::id(), &mapping(path.to_str().unwrap(), None), None);
        std::fs::remove_file(&path).unwrap();
        assert!(modules.image(id).is_some());
    }
}
