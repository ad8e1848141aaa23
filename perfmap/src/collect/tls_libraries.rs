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

use super::{
    mappings::{Change, What},
    object::Object,
    tls_functions::{self, NoPoints, ProbePoints},
};
use crate::unwind::{
    Mapping,
    modules::{open_mapped, open_plain},
};

/// Files whose contents are remembered.
const KNOWN: usize = 16_384;
/// Mappings of processes whose fork is still in the ring.
const UNCLAIMED: usize = 4096;
/// Probed files: each takes some ten descriptors.
const PROBED: usize = 256;

type Points = Result<ProbePoints, NoPoints>;

#[derive(Debug, Default)]
pub struct TlsLibraries {
    /// By path and build id, which tell the contents.
    known: HashMap<(Vec<u8>, Vec<u8>), Points>,
    /// By device and inode: whether there are probes.
    probed: BTreeMap<(u64, u64), Outcome>,
    paths: BTreeSet<PathBuf>,
    unclaimed: VecDeque<Change>,
    /// By process: its libraries' outcomes, the best one.
    of_process: BTreeMap<u32, Outcome>,
}

/// Probed, or why not.
pub type Outcome = Result<(), String>;

impl TlsLibraries {
    /// Probes what earlier runs used, before the target starts.
    pub fn with(paths: &[PathBuf], object: &mut Object) -> TlsLibraries {
        let mut libraries = TlsLibraries::default();
        for path in paths.iter().take(PROBED) {
            let file = path.to_str().and_then(open_plain);
            let Some((file, inode)) = file.and_then(|file| inode(&file).map(|inode| (file, inode))) else { continue };
            if let Ok(points) = tls_functions::find(&file)
                && object.probe_tls(&file, &points).is_ok()
            {
                libraries.probed.insert(inode, Ok(()));
                libraries.paths.insert(path.clone());
            }
        }
        libraries
    }

    /// Paths of what was probed, as the processes named them.
    pub fn into_probed(self) -> Vec<PathBuf> {
        self.paths.into_iter().collect()
    }

    /// What was mapped since the last call. A mapping can be reported before its process's fork: it waits for one round.
    pub fn mapped(&mut self, changes: Vec<Change>, object: &mut Object, followed: impl Fn(u32) -> bool) {
        let waiting = std::mem::take(&mut self.unclaimed);
        for change in waiting {
            if followed(change.pid) {
                self.look(&change, object);
            }
        }
        for change in changes {
            if !matches!(change.what, What::Mapped { .. }) {
                continue;
            }
            if followed(change.pid) {
                self.look(&change, object);
            } else if self.unclaimed.len() < UNCLAIMED {
                self.unclaimed.push_back(change);
            }
        }
    }

    /// What came of the TLS library that a process mapped; None: it mapped none.
    pub fn of_process(&self, pid: u32) -> Option<&Outcome> {
        self.of_process.get(&pid)
    }

    fn look(&mut self, change: &Change, object: &mut Object) {
        let What::Mapped { start, length, file_offset, path, build_id } = &change.what else { return };
        let key = (path.clone(), build_id.clone());
        // Without a build id the path says nothing of the contents.
        if !build_id.is_empty() && self.known.get(&key).is_some_and(|points| *points == Err(NoPoints::NoFunctions)) {
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
        let outcome = match self.probed.get(&inode) {
            Some(known) => known.clone(),
            None => {
                let points = match self.known.get(&key) {
                    Some(points) if !build_id.is_empty() => points.clone(),
                    Some(_) | None => tls_functions::find(&file),
                };
                if self.known.len() < KNOWN {
                    self.known.insert(key, points.clone());
                }
                let refused = |why: String| Err(format!("{}: {why}", mapping.path));
                let outcome = match points {
                    Err(NoPoints::NoFunctions) => return,
                    Err(why @ (NoPoints::Undecodable(_) | NoPoints::Gnutls)) => refused(why.to_string()),
                    Ok(_) if self.probed.len() >= PROBED => refused("too many libraries are probed already".to_owned()),
                    Ok(points) => object.probe_tls(&file, &points).or_else(refused),
                };
                if outcome.is_ok() {
                    self.paths.insert(PathBuf::from(OsStr::from_bytes(path)));
                }
                // Refused once is refused: the reason will not go away.
                self.probed.insert(inode, outcome.clone());
                outcome
            }
        };
        if outcome.is_ok() {
            self.of_process.insert(change.pid, outcome);
        } else {
            self.of_process.entry(change.pid).or_insert(outcome);
        }
    }
}

fn inode(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}
