//! `/tmp/perf-PID.map`, which runtimes with generated code write → the name of an address.
//!
//! The file lies in a directory that anyone can write to: it is taken only where it is a regular file of the process's
//! own user (or root's), without following symlinks, and only so much of it. Total on any bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use super::{open::Root, proc_status};

/// Most bytes of one map that are read; a large Node server writes 10 MiB.
const FILE_LIMIT: u64 = 64 << 20;
/// Longer names are cut.
const NAME_LIMIT: usize = 512;
/// Longer lines are left out.
const LINE_LIMIT: usize = 16 << 10;
const CHUNK: usize = 256 << 10;
/// A file that grew is read again at most this often: code is named when it is made, and runs at once.
const READ_AGAIN: Duration = Duration::from_millis(2);
/// A file that was not there is looked for again at most this often: it takes a dozen system calls, a thousandth of a CPU.
/// What runs between its being written and its being found has no names.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where names lie in [`NamedRanges::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    end: u64,
    from: u32,
    length: u16,
}

/// Named address ranges without overlaps; of two that overlap the later one is right (code is moved and replaced).
#[derive(Debug, Default)]
pub struct NamedRanges {
    ranges: BTreeMap<u64, Named>,
    names: String,
}

impl NamedRanges {
    /// Add complete lines (`START SIZE NAME`, hexadecimal); others are left out.
    pub fn add_lines(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n').filter(|line| line.len() <= LINE_LIMIT) {
            let line = String::from_utf8_lossy(line);
            if let Some((start, size, name)) = parse_line(&line) {
                self.add(start, size, name);
            }
        }
    }

    fn add(&mut self, start: u64, size: u64, name: &str) {
        let Some(end) = start.checked_add(size).filter(|end| *end > start) else { return };
        let name = name.get(..name.floor_char_boundary(NAME_LIMIT)).unwrap_or(name);
        let (Ok(from), Ok(length)) = (u32::try_from(self.names.len()), u16::try_from(name.len())) else { return };
        if let Some((_, before)) = self.ranges.range_mut(..start).next_back()
            && before.end > start
        {
            // What lies behind the new range in the old one is stale as well: code is replaced whole.
            before.end = start;
        }
        while let Some((covered, _)) = self.ranges.range(start..end).next() {
            let covered = *covered;
            self.ranges.remove(&covered);
        }
        self.names.push_str(name);
        self.ranges.insert(start, Named { end, from, length });
    }

    pub fn name(&self, address: u64) -> Option<&str> {
        let (_, named) = self.ranges.range(..=address).next_back()?;
        let from = named.from as usize;
        self.names.get(from..from + usize::from(named.length)).filter(|_| address < named.end)
    }
}

fn parse_line(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = line.split_once(' ')?;
    let (size, name) = rest.split_once(' ')?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
    let name = name.trim();
    (!name.is_empty()).then_some((number(start)?, number(size)?, name))
}

/// One process's map, read on demand.
#[derive(Debug)]
struct PerfMap {
    file: Option<File>,
    ranges: NamedRanges,
    /// Bytes of complete lines that were taken.
    read: u64,
    looked: Instant,
}

/// The maps of all processes, by pid.
#[derive(Debug, Default)]
pub struct PerfMaps {
    maps: HashMap<u32, PerfMap>,
}

impl PerfMaps {
    pub fn name(&mut self, pid: u32, address: u64) -> Option<&str> {
        let map = self.maps.entry(pid).or_insert_with(|| {
            let mut map = PerfMap { file: None, ranges: NamedRanges::default(), read: 0, looked: Instant::now() };
            map.look(pid);
            map
        });
        let again = if map.file.is_some() { READ_AGAIN } else { LOOK_AGAIN };
        if map.ranges.name(address).is_none() && map.looked.elapsed() >= again {
            map.look(pid);
        }
        map.ranges.name(address)
    }

    pub fn forget(&mut self, pid: u32) {
        self.maps.remove(&pid);
    }
}

impl PerfMap {
    fn look(&mut self, pid: u32) {
        self.looked = Instant::now();
        if self.file.is_none() {
            self.file = open(pid);
        }
        let Some(file) = &self.file else { return };
        let Ok(length) = file.metadata().map(|metadata| metadata.len().min(FILE_LIMIT)) else { return };
        if length < self.read {
            // Cut and written anew: by another image of the same process.
            self.read = 0;
            self.ranges = NamedRanges::default();
        }
        if length == self.read {
            return;
        }
        self.read = take_lines(file, self.read, length, &mut self.ranges);
    }
}

/// Feed complete lines from `from` on; returns up to where.
fn take_lines(file: &File, mut from: u64, length: u64, ranges: &mut NamedRanges) -> u64 {
    let mut chunk = vec![0; CHUNK];
    while from < length {
        let Ok(count) = file.read_at(&mut chunk, from) else { return from };
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { return from };
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                ranges.add_lines(&bytes[..last]);
                from += last as u64 + 1;
            }
            // No line end in a full chunk: not a map. A short chunk is a line that is being written.
            None if bytes.len() < CHUNK => return from,
            None => from += bytes.len() as u64,
        }
    }
    from
}

fn open(pid: u32) -> Option<File> {
    let status = proc_status::read(pid);
    let file = Root::of(pid)?.open_itself(&format!("/tmp/perf-{}.map", status.inner_pid?))?;
    let metadata = file.metadata().ok()?;
    (metadata.uid() == 0 || Some(metadata.uid()) == status.user).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn later_lines_win() {
        let mut ranges = NamedRanges::default();
        ranges.add_lines(b"1000 100 old a.js:1\n2000 10 other\n1080 10 new name b.js:2:3\nzz 1 x\n1 2\n");
        assert_eq!(ranges.name(0x1000), Some("old a.js:1"));
        assert_eq!(ranges.name(0x1081), Some("new name b.js:2:3"));
        assert_eq!(ranges.name(0x1090), None);
        assert_eq!(ranges.name(0x200f), Some("other"));
        assert_eq!(ranges.name(0x2010), None);
    }

    #[test]
    fn reads_our_own_map_and_refuses_a_symlink() {
        let us = std::process::id();
        let path = format!("/tmp/perf-{us}.map");
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(open(us).is_none());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "10 10 one\n20 10 tw").unwrap();
        let mut maps = PerfMaps::default();
        assert_eq!(maps.name(us, 0x11), Some("one"));
        assert_eq!(maps.name(us, 0x21), None, "the line is not complete");
        std::fs::write(&path, "10 10 one\n20 10 two\n").unwrap();
        std::thread::sleep(READ_AGAIN);
        assert_eq!(maps.name(us, 0x21), Some("two"));
        std::fs::remove_file(&path).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(text in proptest::collection::vec(any::<u8>(), 0..300), address in any::<u64>()) {
            let mut ranges = NamedRanges::default();
            ranges.add_lines(&text);
            let _ = ranges.name(address);
        }

        /// Nothing overlaps, and the newest range that covers an address names it.
        #[test]
        fn the_newest_names_it(lines in proptest::collection::vec((0u64..64, 1u64..16), 1..40)) {
            let mut ranges = NamedRanges::default();
            for (at, (start, size)) in lines.iter().enumerate() {
                ranges.add(*start, *size, &at.to_string());
                for address in *start..start + size {
                    let expected = at.to_string();
                    prop_assert_eq!(ranges.name(address), Some(expected.as_str()));
                }
            }
            let all: Vec<_> = ranges.ranges.iter().collect();
            for pair in all.windows(2) {
                prop_assert!(pair[0].1.end <= *pair[1].0);
            }
        }
    }
}
