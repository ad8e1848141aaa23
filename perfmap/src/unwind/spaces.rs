//! Mapping and process events in time order → what is mapped where in each followed process now.
//!
//! Executable mappings only. Knows files by [`ModuleId`] alone and opens nothing.

use std::collections::HashMap;
use std::sync::Arc;

use crate::recording::ModuleId;

/// Most mappings that are kept of one process; the kernel's own default limit (vm.max_map_count) is 65,530.
pub const MAPPINGS_PER_PROCESS: usize = 65_536;

/// An executable mapping as the kernel reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub length: u64,
    pub file_offset: u64,
    /// As the target saw it; `//anon`, `[vdso]`, `… (deleted)` as the kernel writes them.
    pub path: String,
    /// At most 20 bytes; None where the kernel did not tell.
    pub build_id: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedRange {
    pub start: u64,
    pub end: u64,
    pub file_offset: u64,
    pub module: ModuleId,
}

impl MappedRange {
    pub fn offset_of(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).wrapping_add(self.file_offset)
    }
}

#[derive(Debug, Clone, Default)]
struct Space {
    /// Sorted, without overlaps; shared with forked children until one of them maps something.
    ranges: Arc<Vec<MappedRange>>,
    /// Changes with each change of `ranges`, unique among all spaces.
    version: u64,
}

/// The mappings of all followed processes.
#[derive(Debug, Default)]
pub struct AddressSpaces {
    spaces: HashMap<u32, Space>,
    versions: u64,
    refused: u64,
}

impl AddressSpaces {
    /// A new mapping; it replaces what it covers.
    pub fn mapped(&mut self, pid: u32, range: MappedRange) {
        if range.start >= range.end {
            return;
        }
        self.versions += 1;
        let space = self.spaces.entry(pid).or_default();
        if space
            .ranges
            .binary_search_by_key(&range.start, |known| known.start)
            .is_ok_and(|at| space.ranges[at] == range)
        {
            return;
        }
        let ranges = Arc::make_mut(&mut space.ranges);
        cut_out(ranges, range.start, range.end);
        if ranges.len() >= MAPPINGS_PER_PROCESS {
            self.refused += 1;
            return;
        }
        let at = ranges.partition_point(|known| known.start < range.start);
        ranges.insert(at, range);
        space.version = self.versions;
    }

    pub fn forked(&mut self, parent: u32, child: u32) {
        if parent != child
            && let Some(space) = self.spaces.get(&parent)
        {
            let space = space.clone();
            self.spaces.insert(child, space);
        }
    }

    /// execve: nothing of the old image is mapped any more.
    pub fn executed(&mut self, pid: u32) {
        self.spaces.remove(&pid);
    }

    pub fn exited(&mut self, pid: u32) {
        self.spaces.remove(&pid);
    }

    pub fn find(&self, pid: u32, address: u64) -> Option<&MappedRange> {
        let ranges = &self.spaces.get(&pid)?.ranges;
        let after = ranges.partition_point(|range| range.start <= address);
        ranges.get(after.checked_sub(1)?).filter(|range| address < range.end)
    }

    pub fn ranges(&self, pid: u32) -> &[MappedRange] {
        self.spaces.get(&pid).map_or(&[], |space| space.ranges.as_slice())
    }

    /// Equal versions: equal mappings. 0: none known.
    pub fn version(&self, pid: u32) -> u64 {
        self.spaces.get(&pid).map_or(0, |space| space.version)
    }

    /// Mappings that were not kept because their process had too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Remove `start..end` from sorted ranges; a range that is cut in the middle leaves two.
fn cut_out(ranges: &mut Vec<MappedRange>, start: u64, end: u64) {
    let first = ranges.partition_point(|range| range.end <= start);
    let last = ranges.partition_point(|range| range.start < end);
    if first >= last {
        return;
    }
    let head = Some(ranges[first]).filter(|range| range.start < start).map(|range| MappedRange { end: start, ..range });
    let tail = Some(ranges[last - 1]).filter(|range| range.end > end).map(|range| MappedRange {
        start: end,
        file_offset: range.offset_of(end),
        ..range
    });
    ranges.splice(first..last, head.into_iter().chain(tail));
}

/// The executable mappings in the text of `/proc/PID/maps`. Lines that do not parse are left out.
pub fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    mappings(text)
        .filter(|(_, executable)| *executable)
        .map(|(mapping, _)| mapping)
        .take(MAPPINGS_PER_PROCESS)
        .collect()
}

/// All mappings, also those that hold no code.
pub fn parse_all_maps(text: &[u8]) -> Vec<Mapping> {
    mappings(text).map(|(mapping, _)| mapping).take(MAPPINGS_PER_PROCESS).collect()
}

fn mappings(text: &[u8]) -> impl Iterator<Item = (Mapping, bool)> {
    text.split(|byte| *byte == b'\n').filter_map(parse_maps_line)
}

fn parse_maps_line(line: &[u8]) -> Option<(Mapping, bool)> {
    let line = String::from_utf8_lossy(line);
    let mut rest: &str = &line;
    let mut word = || {
        let trimmed = rest.trim_start_matches(' ');
        let (word, after) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = after;
        word
    };
    let (range, permissions, offset, _device, _inode) = (word(), word(), word(), word(), word());
    let (start, end) = range.split_once('-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let executable = permissions.as_bytes().get(2) == Some(&b'x');
    if start >= end {
        return None;
    }
    let file_offset = hexadecimal(offset)?;
    // The kernel writes a newline in a name as \012 and pads with spaces before it.
    let path = rest.trim_start_matches(' ').replace("\\012", "\n");
    let path = if path.is_empty() { "//anon".to_owned() } else { path };
    Some((Mapping { start, length: end - start, file_offset, path, build_id: None }, executable))
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, end: u64, module: u32) -> MappedRange {
        MappedRange { start, end, file_offset: start, module: ModuleId(module) }
    }

    #[test]
    fn a_later_mapping_replaces_the_middle_of_an_earlier() {
        let mut spaces = AddressSpaces::default();
        spaces.mapped(1, MappedRange { start: 0x1000, end: 0x5000, file_offset: 0, module: ModuleId(0) });
        spaces.mapped(1, MappedRange { start: 0x2000, end: 0x3000, file_offset: 0x70, module: ModuleId(1) });
        assert_eq!(spaces.find(1, 0x1fff).unwrap().module, ModuleId(0));
        assert_eq!(spaces.find(1, 0x2000).unwrap().offset_of(0x2010), 0x80);
        assert_eq!(spaces.find(1, 0x3000).unwrap().offset_of(0x3000), 0x2000);
        assert_eq!(spaces.find(1, 0x5000), None);
        assert_eq!(spaces.ranges(1).len(), 3);
    }

    #[test]
    fn forks_copy_and_execs_clear() {
        let mut spaces = AddressSpaces::default();
        spaces.mapped(1, range(0x1000, 0x2000, 0));
        spaces.forked(1, 2);
        spaces.executed(1);
        assert_eq!(spaces.find(1, 0x1000), None);
        assert!(spaces.find(2, 0x1000).is_some());
        spaces.mapped(2, range(0x3000, 0x4000, 1));
        assert_ne!(spaces.version(2), 0);
        spaces.exited(2);
        assert_eq!(spaces.version(2), 0);
    }

    #[test]
    fn maps_lines() {
        let text = b"5581-5590 r-xp 00002000 fe:00 123     /a b/c (deleted)\n6000-7000 rw-p 0 0 0\n\
            7000-8000 rwxp 00000000 00:00 0 \njunk\nffff-1 r-xp 0 0 0\n";
        let mappings = parse_maps(text);
        assert_eq!(mappings.len(), 2);
        assert_eq!(mappings[0].path, "/a b/c (deleted)");
        assert_eq!((mappings[0].start, mappings[0].length, mappings[0].file_offset), (0x5581, 0xf, 0x2000));
        assert_eq!(mappings[1].path, "//anon");
    }

    proptest! {
        #[test]
        fn any_bytes_parse(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse_maps(&text);
        }

        /// Nothing overlaps, and each address belongs to the last mapping that covered it.
        #[test]
        fn the_last_mapping_wins(steps in proptest::collection::vec((0u64..60, 1u64..30), 1..40)) {
            let mut spaces = AddressSpaces::default();
            let mut truth = [None; 100];
            for (at, (start, length)) in steps.into_iter().enumerate() {
                let module = at as u32;
                spaces.mapped(7, range(start, start + length, module));
                for slot in &mut truth[start as usize..(start + length) as usize] {
                    *slot = Some(ModuleId(module));
                }
            }
            for pair in spaces.ranges(7).windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            for (address, expected) in truth.into_iter().enumerate() {
                let found = spaces.find(7, address as u64);
                prop_assert_eq!(found.map(|range| range.module), expected);
                if let Some(found) = found {
                    prop_assert_eq!(found.offset_of(address as u64), address as u64);
                }
            }
        }
    }
}
