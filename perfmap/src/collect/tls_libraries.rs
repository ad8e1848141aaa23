//! Files that followed processes map → probes in the TLS libraries among them, each file once.
//!
//! A probe belongs to a file, not to a process: it is set at the first mapping and serves every later process; calls of
//! processes that are not followed end at the first look. Only file contents are judged here; what the probes see is
//! `plaintext`'s.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::PathBuf,
};

use perfmap_common::TlsFunction;

use super::{
    TlsUse,
    mappings::{Change, What},
    object::Object,
    tls_functions::{self, ProbePoints, TlsFile},
    tls_multi::Point,
};
use crate::unwind::{
    Mapping,
    modules::{open_mapped, open_plain},
    read_mappings,
};

/// Files whose contents are remembered.
const KNOWN: usize = 16_384;
/// Mappings of processes whose fork is still in the ring.
const UNCLAIMED: usize = 4096;
/// Libraries with probes: each takes a descriptor or two, some ten where the kernel has no links of many probes.
const LIBRARIES: usize = 256;

/// Probed, or why not.
pub type Outcome = Result<(), String>;

/// A file that has the functions.
#[derive(Debug)]
struct Library {
    path: PathBuf,
    file: File,
    points: Vec<ProbePoints>,
    /// Linked into a program or a module: who calls its functions lies in it.
    own: bool,
    probed: BTreeSet<TlsFunction>,
    outcome: Outcome,
}

/// A file that has functions of an event loop.
#[derive(Debug)]
struct Asking {
    path: PathBuf,
    /// None: done with.
    due: Option<(File, Vec<Point>)>,
}

#[derive(Debug, Default)]
pub struct TlsLibraries {
    /// By path and build id, which tell the contents.
    known: HashMap<(Vec<u8>, Vec<u8>), TlsFile>,
    /// By device and inode.
    libraries: BTreeMap<(u64, u64), Library>,
    /// What any file calls that was seen: only these functions are probed in shared libraries.
    called: BTreeSet<TlsFunction>,
    unclaimed: VecDeque<Change>,
    /// By device and inode.
    asking: BTreeMap<(u64, u64), Asking>,
    /// By process: its library, one with probes where it has several.
    of_process: BTreeMap<u32, (u64, u64)>,
}

impl TlsLibraries {
    /// Probes what earlier runs used, and what the command itself shows, before the target starts. Without functions: all that
    /// it has.
    pub fn with(earlier: &[TlsUse], object: &mut Object) -> TlsLibraries {
        let mut libraries = TlsLibraries::default();
        for TlsUse { path, functions } in earlier.iter().take(LIBRARIES) {
            let Some(file) = path.to_str().and_then(open_plain) else { continue };
            let Some(inode) = inode(&file) else { continue };
            let TlsFile { has, calls, asks } = tls_functions::look(&file);
            libraries.called.extend(calls);
            libraries.asks(inode, path.clone(), &file, asks);
            let Some(Ok(points)) = has else { continue };
            libraries.called.extend(functions);
            let library = Library::new(path.clone(), file, points, false);
            libraries.libraries.entry(inode).or_insert(library).probe(functions, object);
        }
        libraries.probe_asks(object);
        libraries
    }

    /// What was probed, as the processes named it; an event loop's own functions have no names here.
    pub fn into_used(self) -> Vec<TlsUse> {
        let used = self.libraries.iter().filter(|(_, library)| library.outcome.is_ok() && !library.probed.is_empty());
        let mut used: BTreeMap<(u64, u64), TlsUse> = used
            .map(|(inode, library)| (*inode, TlsUse { path: library.path.clone(), functions: library.probed.clone() }))
            .collect();
        for (inode, Asking { path, .. }) in self.asking {
            used.entry(inode).or_insert(TlsUse { path, functions: BTreeSet::new() });
        }
        used.into_values().collect()
    }

    /// Those of followed processes, which are not looked at yet. A mapping can be reported before its process's fork: it
    /// waits for one round.
    pub fn claim(&mut self, changes: Vec<Change>, followed: impl Fn(u32) -> bool) -> Vec<Change> {
        let waiting = std::mem::take(&mut self.unclaimed);
        let mut claimed: Vec<Change> = waiting.into_iter().filter(|change| followed(change.pid)).collect();
        for change in changes {
            if !matches!(change.what, What::Mapped { .. }) {
                continue;
            }
            if followed(change.pid) {
                claimed.push(change);
            } else if self.unclaimed.len() < UNCLAIMED {
                self.unclaimed.push_back(change);
            }
        }
        claimed
    }

    /// What was claimed, and who had mapped something before it was followed. Takes as long as reading the files and
    /// setting the probes does.
    pub fn mapped(&mut self, claimed: Vec<Change>, adopted: Vec<u32>, object: &mut Object) {
        adopted.into_iter().for_each(|pid| self.adopted(pid));
        claimed.iter().for_each(|change| self.look(change));
        // They are few, and who asks comes before anything is encrypted.
        self.probe_asks(object);
        // Behind them all: the loader maps who calls a library before the library.
        for library in self.libraries.values_mut() {
            library.probe(&self.called, object);
        }
    }

    fn asks(&mut self, inode: (u64, u64), path: PathBuf, file: &File, points: Vec<Point>) {
        if !points.is_empty()
            && self.asking.len() < LIBRARIES
            && let Ok(file) = file.try_clone()
        {
            self.asking.entry(inode).or_insert(Asking { path, due: Some((file, points)) });
        }
    }

    /// Where they are refused, so are those of TLS, which is said.
    fn probe_asks(&mut self, object: &mut Object) {
        for (file, points) in self.asking.values_mut().filter_map(|asking| asking.due.take()) {
            let _ = object.probe_asks(&file, &points);
        }
    }

    fn adopted(&mut self, pid: u32) {
        for Mapping { start, length, file_offset, path, build_id } in read_mappings(pid) {
            let (path, build_id) = (path.into_bytes(), build_id.unwrap_or_default());
            self.look(&Change { at: 0, pid, what: What::Mapped { start, length, file_offset, path, build_id } });
        }
    }

    /// What came of the TLS library that a process mapped; None: it mapped none.
    pub fn of_process(&self, pid: u32) -> Option<Outcome> {
        self.of_process
            .get(&pid)
            .map(|inode| self.libraries.get(inode).map_or(Ok(()), |library| library.outcome.clone()))
    }

    fn look(&mut self, change: &Change) {
        let What::Mapped { start, length, file_offset, path, build_id } = &change.what else { return };
        let key = (path.clone(), build_id.clone());
        // Without a build id the path says nothing of the contents.
        let known = self.known.get(&key).filter(|_| !build_id.is_empty());
        if let Some(TlsFile { has: None, asks, .. }) = known
            && asks.is_empty()
        {
            return;
        }
        let mapping = Mapping {
            start: *start,
            length: *length,
            file_offset: *file_offset,
            path: String::from_utf8_lossy(path).into_owned(),
            build_id: (!build_id.is_empty()).then(|| build_id.clone()),
        };
        let Ok(file) = open_mapped(change.pid, &mapping) else { return };
        let Some(inode) = inode(&file) else { return };
        if !self.libraries.contains_key(&inode) {
            if self.asking.contains_key(&inode) {
                return;
            }
            let tls = known.cloned().unwrap_or_else(|| tls_functions::look(&file));
            if self.known.len() < KNOWN {
                self.known.insert(key, tls.clone());
            }
            self.called.extend(tls.calls);
            self.asks(inode, PathBuf::from(OsStr::from_bytes(path)), &file, tls.asks);
            let Some(has) = tls.has else { return };
            if self.libraries.len() >= LIBRARIES {
                return;
            }
            let path = PathBuf::from(OsStr::from_bytes(path));
            // libssl.so.3, and libssl-9b28.so.1.1 as wheels name it.
            let shared =
                |name: &OsStr| [&b"libssl"[..], b"libgnutls"].iter().any(|begin| name.as_bytes().starts_with(begin));
            let own = !path.file_name().is_some_and(shared);
            let library = match has {
                Ok(points) => Library::new(path, file, points, own),
                Err(why) => Library {
                    outcome: Err(format!("{}: {why}", path.display())),
                    ..Library::new(path, file, Vec::new(), own)
                },
            };
            self.libraries.insert(inode, library);
        }
        let better = |old: &(u64, u64)| self.libraries.get(old).is_some_and(|library| library.outcome.is_ok());
        if !self.of_process.get(&change.pid).is_some_and(better) {
            self.of_process.insert(change.pid, inode);
        }
    }
}

impl Library {
    fn new(path: PathBuf, file: File, points: Vec<ProbePoints>, own: bool) -> Library {
        Library { path, file, points, own, probed: BTreeSet::new(), outcome: Ok(()) }
    }

    /// Probes those of its functions that are called. Refused once is refused: the reason will not go away.
    fn probe(&mut self, called: &BTreeSet<TlsFunction>, object: &mut Object) {
        if self.outcome.is_err() {
            return;
        }
        // None called: nobody names them, they are looked up by name at run time.
        let wanted = |function| self.own || called.is_empty() || called.contains(function);
        let new =
            self.points.iter().filter(|points| wanted(&points.function) && !self.probed.contains(&points.function));
        let new: Vec<&ProbePoints> = new.collect();
        if !new.is_empty() {
            let refused = |why: String| format!("{}: {why}", self.path.display());
            self.outcome = object.probe_tls(&self.file, &new).map_err(refused);
            self.probed.extend(new.into_iter().map(|points| points.function));
        }
    }
}

fn inode(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// uvloop's libuv has nothing to do with TLS.
    #[test]
    fn an_event_loop_without_tls_is_known_to_the_next_run() {
        let mut libraries = TlsLibraries::default();
        let file = File::open("/proc/self/exe").unwrap();
        libraries.asks((1, 2), "/lib/loop.so".into(), &file, vec![Point { offset: 8, cookie: 1 }]);
        libraries.asks((1, 3), "/lib/nothing.so".into(), &file, Vec::new());
        assert_eq!(libraries.into_used(), [TlsUse { path: "/lib/loop.so".into(), functions: BTreeSet::new() }]);
    }
}
