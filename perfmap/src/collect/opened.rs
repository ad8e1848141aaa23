//! Records of what was opened, made, closed and left → [`Files`]: which file is which, what lies about in directories for
//! temporary files, which descriptors stayed open. Paths are the target's own bytes: bounded, kept as text, and looked at
//! on the disk only below those directories, without following a link.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::Mode,
};
use perfmap_common as wire;

use crate::recording::{
    DescriptorKind, Descriptors, FileId, Files, KnownFile, Made, Nanos, ProcessId, StackId, TaskId, Unread,
};

/// Files that are told from one another; a build of a large project reads some ten thousand.
const FILES: usize = 1 << 16;
/// Things made below directories for temporary files that are remembered, and names of those left that are kept.
const MADE: usize = 1 << 14;
const EXAMPLES: usize = 3;
const OPENERS: usize = 1024;
/// The last ones of each opener.
const SPANS: usize = 4096;
const UNREAD: usize = 4096;
const PATH_BYTES: usize = 256;

/// Where files for temporary use lie, beside the one that our own environment (and so the target's) names.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

#[derive(Debug)]
pub struct Opened {
    by_identity: HashMap<(u32, u64), FileId>,
    known: Vec<KnownFile>,
    temporary: Vec<PathBuf>,
    /// By who made them: process and site.
    makers: BTreeMap<(ProcessId, u64), Maker>,
    /// All that was made, with who made it last.
    made: BTreeMap<String, (ProcessId, u64)>,
    openers: BTreeMap<(ProcessId, u64), Opener>,
    unread: Vec<Unread>,
}

#[derive(Debug)]
struct Maker {
    task: TaskId,
    stack: Option<StackId>,
    count: u64,
}

#[derive(Debug)]
struct Opener {
    task: TaskId,
    stack: Option<StackId>,
    kind: DescriptorKind,
    opened: u64,
    left: u64,
    spans: VecDeque<(Nanos, Nanos)>,
}

/// Who did it.
#[derive(Debug, Clone, Copy)]
pub struct By {
    pub process: ProcessId,
    pub task: TaskId,
    pub site: u64,
    pub stack: Option<StackId>,
}

impl Default for Opened {
    fn default() -> Opened {
        let mut temporary: BTreeSet<PathBuf> = TEMPORARY.iter().map(PathBuf::from).collect();
        temporary.insert(std::env::temp_dir());
        Opened::with(temporary.into_iter().collect())
    }
}

impl Opened {
    fn with(temporary: Vec<PathBuf>) -> Opened {
        Opened {
            by_identity: HashMap::new(),
            known: Vec::new(),
            temporary,
            makers: BTreeMap::new(),
            made: BTreeMap::new(),
            openers: BTreeMap::new(),
            unread: Vec::new(),
        }
    }

    /// None: no regular file, or the table is full.
    pub fn file(&mut self, device: u32, inode: u64, size: u64) -> Option<FileId> {
        if inode == 0 {
            return None;
        }
        if let Some(id) = self.by_identity.get(&(device, inode)) {
            let known = &mut self.known[id.0 as usize];
            known.size = known.size.max(size);
            return Some(*id);
        }
        if self.known.len() >= FILES {
            return None;
        }
        let id = FileId(self.known.len() as u32);
        self.known.push(KnownFile { device, inode, path: None, size });
        self.by_identity.insert((device, inode), id);
        Some(id)
    }

    pub fn named(&mut self, id: FileId, path: &[u8]) {
        if let Some(file) = self.known.get_mut(id.0 as usize)
            && !path.is_empty()
        {
            file.path = Some(text(path));
        }
    }

    /// `foreign`: the path means something else to us.
    pub fn created(&mut self, by: By, path: &[u8], foreign: bool) {
        let Ok(path) = std::str::from_utf8(path) else { return };
        if foreign || path.len() >= PATH_BYTES || self.made.len() >= MADE || !self.is_temporary(path) {
            return;
        }
        let inside = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
        if inside.into_iter().any(|above| self.made.contains_key(above)) {
            return;
        }
        let key = (by.process, by.site);
        if self.made.insert(path.to_owned(), key) == Some(key) {
            return; // the same name again
        }
        let maker = self.makers.entry(key).or_insert(Maker { task: by.task, stack: by.stack, count: 0 });
        maker.count += 1;
    }

    fn is_temporary(&self, path: &str) -> bool {
        let below = |directory: &PathBuf| Path::new(path).strip_prefix(directory).is_ok_and(is_plain);
        self.temporary.iter().any(below)
    }

    pub fn closed(&mut self, by: By, record: &wire::Closed, from: Nanos, to: Nanos) {
        let key = (by.process, by.site);
        if self.openers.len() >= OPENERS && !self.openers.contains_key(&key) {
            return;
        }
        let opener = self.openers.entry(key).or_insert_with(|| Opener {
            task: by.task,
            stack: by.stack,
            kind: kind(record.object),
            opened: 0,
            left: 0,
            spans: VecDeque::new(),
        });
        opener.opened = opener.opened.max(u64::from(record.opened));
        opener.left += u64::from(record.left != 0);
        if opener.spans.len() >= SPANS {
            opener.spans.pop_front();
        }
        opener.spans.push_back((from, to));
    }

    pub fn unread(&mut self, unread: Unread) {
        if self.unread.len() < UNREAD {
            self.unread.push(unread);
        }
    }

    pub fn stacks(&mut self) -> impl Iterator<Item = &mut StackId> {
        let makers = self.makers.values_mut().filter_map(|maker| maker.stack.as_mut());
        makers.chain(self.openers.values_mut().filter_map(|opener| opener.stack.as_mut()))
    }

    /// Looks which of the things made are still there. `earlier`: what the times are to be counted from.
    pub fn finish(self, earlier: Nanos) -> Files {
        let mut left: BTreeMap<(ProcessId, u64), (u64, Vec<String>)> = BTreeMap::new();
        for (path, key) in &self.made {
            if self.temporary.iter().any(|directory| is_there(directory, path)) {
                let (count, examples) = left.entry(*key).or_default();
                *count += 1;
                if examples.len() < EXAMPLES {
                    examples.push(path.clone());
                }
            }
        }
        let made = self.makers.into_iter().map(|(key, maker)| {
            let (left, examples) = left.remove(&key).unwrap_or_default();
            Made { task: maker.task, stack: maker.stack, count: maker.count, left, examples }
        });
        let shifted = |(from, to): (Nanos, Nanos)| (from.since(earlier), to.since(earlier));
        let descriptors = self.openers.into_iter().map(|((process, _), opener)| Descriptors {
            process,
            task: opener.task,
            stack: opener.stack,
            kind: opener.kind,
            opened: opener.opened,
            left: opener.left,
            spans: opener.spans.into_iter().map(shifted).collect(),
        });
        let unread = self.unread.into_iter().map(|one| Unread { at: one.at.since(earlier), ..one });
        Files { known: self.known, made: made.collect(), descriptors: descriptors.collect(), unread: unread.collect() }
    }
}

fn text(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(&path[..path.len().min(PATH_BYTES)]);
    path.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Names alone: no `..`, nothing empty.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Anyone may write there: no link below the directory is followed, and nothing is opened but a handle.
fn is_there(directory: &Path, path: &str) -> bool {
    let Ok(below) = Path::new(path).strip_prefix(directory) else { return false };
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let Ok(directory) = open(directory, flags | OFlag::O_DIRECTORY, Mode::empty()).map(File::from) else {
        return false;
    };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_NOFOLLOW)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(directory.as_fd(), below, how).is_ok()
}

fn kind(object: u32) -> DescriptorKind {
    match object {
        object if object == wire::Object::File as u32 => DescriptorKind::File,
        object if object == wire::Object::Socket as u32 => DescriptorKind::Socket,
        object if object == wire::Object::Pipe as u32 => DescriptorKind::Pipe,
        _ => DescriptorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(site: u64) -> By {
        By { process: ProcessId(0), task: TaskId(0), site, stack: None }
    }

    #[test]
    fn what_is_left_of_what_was_made() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let mut opened = Opened::with(vec![place.path().to_path_buf()]);
        for name in ["a", "b", "gone", "dir"] {
            opened.created(by(1), at(name).as_bytes(), false);
        }
        opened.created(by(2), at("dir/inside").as_bytes(), false);
        opened.created(by(2), b"/etc/passwd", false);
        opened.created(by(2), at("../escape").as_bytes(), false);
        opened.created(by(2), at("elsewhere").as_bytes(), true);
        opened.created(by(2), b"\xff\xfe", false);
        std::fs::write(at("a"), "").unwrap();
        std::fs::write(at("b"), "").unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        let files = opened.finish(Nanos::ZERO);
        assert_eq!(files.made.len(), 1);
        assert_eq!((files.made[0].count, files.made[0].left), (4, 3));
        assert_eq!(files.made[0].examples, [at("a"), at("b"), at("dir")]);
    }

    #[test]
    fn links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", place.path().join("link")).unwrap();
        let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        assert!(is_there(place.path(), &at("link")), "the link itself is there");
        assert!(!is_there(place.path(), &at("link/passwd")));
    }

    #[test]
    fn files_are_told_by_identity_and_named_once() {
        let mut opened = Opened::default();
        assert_eq!(opened.file(1, 0, 5), None);
        let first = opened.file(1, 7, 5).unwrap();
        assert_eq!(opened.file(1, 7, 9), Some(first));
        assert_ne!(opened.file(2, 7, 9), Some(first));
        opened.named(first, b"/a/\x1b[2J\xffb");
        let files = opened.finish(Nanos::ZERO);
        assert_eq!(files.known[0].path.as_deref(), Some("/a/\u{fffd}[2J\u{fffd}b"));
        assert_eq!(files.known[0].size, 9);
    }

    #[test]
    fn spans_are_bounded_and_counts_are_not() {
        let mut opened = Opened::default();
        let header = wire::Header { kind: 0, pid: 1, tid: 1, cpu: 0, at: 0 };
        let last = SPANS as u32 + 10;
        for opened_by_then in 1..=last {
            let object = wire::Object::Socket as u32;
            let left = u32::from(opened_by_then == last);
            let record =
                wire::Closed { header, since: 0, site: 3, descriptor: 30, object, left, opened: opened_by_then };
            opened.closed(by(3), &record, Nanos(1), Nanos(u64::from(opened_by_then)));
        }
        let files = opened.finish(Nanos::ZERO);
        let of = &files.descriptors[0];
        assert_eq!((of.opened, of.left, of.kind), (u64::from(last), 1, DescriptorKind::Socket));
        assert_eq!((of.spans.len(), of.spans[0].1), (SPANS, Nanos(11)));
    }
}
