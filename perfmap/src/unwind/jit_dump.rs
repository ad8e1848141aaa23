//! `jit-PID.dump`, perf's format for generated code, by any runtime → function, file and line of an address, as it was at
//! the time that was reached: code that was replaced has the name that it had.
//!
//! The file is taken through the mapping by which a process marks it, where it is the process's own user's (or root's).
//! Total on any bytes; all dumps together hold a bounded number of them. Functions that the runtime has not yet written
//! out (some write in blocks) have no name.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use super::open::{Root, Sought, mapped_file};
use super::{Mapping, proc_status};
use crate::recording::JitPlace;

/// `JiTD` as a little-endian machine writes the number.
const MAGIC: u32 = 0x4a69_5444;
const MACHINE_X86_64: u32 = 62;
const HEADER: u64 = 40;
/// Times are the processor's counter, not the kernel's clock.
const FLAG_PROCESSOR_TIME: u64 = 1;
/// Number, length and time before each record.
const PREFIX: usize = 16;
const LOAD: u32 = 0;
const MOVE: u32 = 1;
const DEBUG_INFO: u32 = 2;
/// What stands before a load's name, prefix and all; a whole move's length.
const LOAD_FIXED: usize = PREFIX + 40;
const MOVE_SIZE: usize = PREFIX + 48;
const DEBUG_FIXED: usize = PREFIX + 16;
/// What stands before the file's name in a line's entry.
const LINE_FIXED: usize = 16;
/// Instead of a name: the one of the entry before.
const SAME_NAME: &[u8] = b"\xff";

/// Longer names are cut.
const NAME_LIMIT: usize = 512;
const PATH_LIMIT: usize = 4096;
/// Longer tables of lines are left out.
const DEBUG_LIMIT: u64 = 1 << 20;
/// Bytes of such tables that are read at once, and in all: a sparse file costs nothing to make.
const DEBUG_AT_ONCE: u64 = 16 << 20;
const DEBUG_IN_ALL: u64 = 1 << 30;
/// Records of one file; what follows is not read.
const MOST_RECORDS: u64 = 2 << 20;
/// Records that are read at once.
const AT_ONCE: u64 = 20_000;
/// Processes whose dumps are open at a time.
const MOST_DUMPS: usize = 256;
/// Bytes that all dumps together may hold.
const HELD_LIMIT: usize = 256 << 20;
/// What a function and a line take, names apart.
const FUNCTION_BYTES: usize = 96;
const LINE_BYTES: usize = size_of::<Line>();
/// A file is asked at most this often whether it grew.
const READ_AGAIN: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy)]
struct Line {
    /// From where on.
    address: u64,
    line: u32,
    file: u32,
}

#[derive(Debug)]
struct Function {
    end: u64,
    name: Box<str>,
    lines: Box<[Line]>,
}

/// What one file told up to a time.
#[derive(Debug, Default)]
pub struct Dumped {
    /// By first address, without overlaps: of two that overlap the later one is right.
    functions: BTreeMap<u64, Function>,
    files: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    /// Lines stand before their function.
    lines: Option<(u64, Vec<Line>)>,
    /// Up to where the file was read; 0: not even its head.
    read: u64,
    records: u64,
    /// When the next record was written; 0: it can be read at once.
    next: u64,
    /// Whose records are meant.
    pid: u32,
    /// Its times are of the kernel's clock.
    timed: bool,
    broken: bool,
    /// Bytes of tables of lines that were read.
    tables: u64,
    held: usize,
}

impl Dumped {
    /// Read on, up to `now`. `read` fills a part of the file and says how much of it. `clock`: what the kernel's clock shows.
    /// `limit`: bytes that may be held.
    pub fn take(
        &mut self,
        read: &dyn Fn(u64, &mut [u8]) -> usize,
        length: u64,
        (now, clock): (u64, u64),
        limit: usize,
    ) {
        if self.broken || (self.read == 0 && !self.head(read, length, clock)) {
            return;
        }
        self.next = u64::MAX;
        let mut tables = DEBUG_AT_ONCE;
        let mut bytes = vec![0; LOAD_FIXED + NAME_LIMIT];
        for _ in 0..AT_ONCE {
            if self.held >= limit || self.records >= MOST_RECORDS {
                self.broken = true;
                return;
            }
            let count = read(self.read, &mut bytes).min(bytes.len());
            let Some(bytes) = bytes.get(..count).filter(|bytes| bytes.len() >= PREFIX) else { return };
            let (Some(kind), Some(size), Some(at)) = (word(bytes, 0), word(bytes, 4), long(bytes, 8)) else { return };
            if (size as usize) < PREFIX {
                self.broken = true;
                return;
            }
            let Some(end) = self.read.checked_add(size.into()).filter(|end| *end <= length) else { return };
            if self.timed && at > now {
                self.next = at;
                return;
            }
            let record = bytes.get(..size as usize).unwrap_or(bytes);
            match kind {
                LOAD => self.load(record),
                MOVE => self.moved(record),
                DEBUG_INFO if u64::from(size) <= DEBUG_LIMIT => {
                    let Some(left) = tables.checked_sub(size.into()) else {
                        self.next = 0;
                        return;
                    };
                    tables = left;
                    self.tables += u64::from(size);
                    if self.tables > DEBUG_IN_ALL {
                        self.broken = true;
                        return;
                    }
                    let mut whole = vec![0; size as usize];
                    let count = read(self.read, &mut whole).min(whole.len());
                    self.debug(whole.get(..count).unwrap_or_default());
                }
                // Unwind tables, the end, and what later versions have.
                _ => {}
            }
            self.read = end;
            self.records += 1;
        }
        self.next = 0;
    }

    /// False: not there yet, or none that is known.
    fn head(&mut self, read: &dyn Fn(u64, &mut [u8]) -> usize, length: u64, clock: u64) -> bool {
        let mut bytes = [0; HEADER as usize];
        if length < HEADER || read(0, &mut bytes) < bytes.len() {
            return false;
        }
        let number = |at| word(&bytes, at).unwrap_or(0);
        let wide = |at| long(&bytes, at).unwrap_or(0);
        let size = u64::from(number(8));
        if (number(0), number(4), number(12)) != (MAGIC, 1, MACHINE_X86_64) || size < HEADER {
            // The file is mapped before its head is written.
            self.broken = number(0) != 0;
            return false;
        }
        self.pid = number(20);
        self.timed = wide(32) & FLAG_PROCESSOR_TIME == 0 && wide(24) <= clock;
        self.read = size;
        true
    }

    fn load(&mut self, record: &[u8]) {
        let (Some(pid), Some(address), Some(size)) = (word(record, 16), long(record, 32), long(record, 40)) else {
            return;
        };
        let lines = self.lines.take().filter(|(of, _)| *of == address).map_or(Vec::new(), |(_, lines)| lines);
        let name = until_zero(record.get(LOAD_FIXED..).unwrap_or_default());
        if pid == self.pid && !name.is_empty() {
            let name = cut(&String::from_utf8_lossy(name), NAME_LIMIT).into();
            self.add(address, size, name, lines.into_boxed_slice());
        }
    }

    fn moved(&mut self, record: &[u8]) {
        let Some(record) = record.get(..MOVE_SIZE) else { return };
        let (Some(pid), Some(from), Some(to), Some(size)) =
            (word(record, 16), long(record, 32), long(record, 40), long(record, 48))
        else {
            return;
        };
        if pid != self.pid {
            return;
        }
        let Some(mut function) = self.functions.remove(&from) else { return };
        for line in &mut function.lines {
            line.address = line.address.wrapping_sub(from).wrapping_add(to);
        }
        self.held = self.held.saturating_sub(bytes(&function.name, &function.lines));
        function.lines.sort_by_key(|line| line.address);
        self.add(to, size, function.name, function.lines);
    }

    fn add(&mut self, start: u64, size: u64, name: Box<str>, lines: Box<[Line]>) {
        let Some(end) = start.checked_add(size).filter(|end| *end > start) else { return };
        if let Some((_, before)) = self.functions.range_mut(..start).next_back()
            && before.end > start
        {
            // Code is replaced whole: what lies behind the new function is stale as well.
            before.end = start;
        }
        while let Some((covered, _)) = self.functions.range(start..end).next() {
            let covered = *covered;
            if let Some(gone) = self.functions.remove(&covered) {
                self.held = self.held.saturating_sub(bytes(&gone.name, &gone.lines));
            }
        }
        self.held += bytes(&name, &lines);
        self.functions.insert(start, Function { end, name, lines });
    }

    /// Lines of the function that comes next.
    fn debug(&mut self, record: &[u8]) {
        self.lines = None;
        let (Some(address), Some(count)) = (long(record, 16), long(record, 24)) else { return };
        let mut rest = record.get(DEBUG_FIXED..).unwrap_or_default();
        let mut lines = Vec::new();
        let mut file = None;
        for _ in 0..count {
            let (Some(at), Some(line)) = (long(rest, 0), word(rest, 8)) else { break };
            let name = until_zero(rest.get(LINE_FIXED..).unwrap_or_default());
            rest = rest.get(LINE_FIXED + name.len() + 1..).unwrap_or_default();
            if name != SAME_NAME {
                file = self.number(name);
            }
            if let Some(file) = file.filter(|_| line > 0) {
                lines.push(Line { address: at, line, file });
            }
        }
        lines.sort_by_key(|line| line.address);
        self.lines = Some((address, lines));
    }

    fn number(&mut self, name: &[u8]) -> Option<u32> {
        let text = String::from_utf8_lossy(name);
        let name = Some(cut(&text, PATH_LIMIT)).filter(|name| !name.is_empty())?;
        if let Some(known) = self.numbers.get(name) {
            return Some(*known);
        }
        let number = u32::try_from(self.files.len()).ok()?;
        self.held += 2 * name.len() + FUNCTION_BYTES;
        self.files.push(name.into());
        self.numbers.insert(name.into(), number);
        Some(number)
    }

    pub fn find(&self, address: u64) -> Option<(&str, Option<JitPlace>)> {
        let (_, function) = self.functions.range(..=address).next_back()?;
        if address >= function.end {
            return None;
        }
        let after = function.lines.partition_point(|line| line.address <= address);
        let line = after.checked_sub(1).and_then(|at| function.lines.get(at));
        let place = line
            .and_then(|line| Some(JitPlace { file: self.files.get(line.file as usize)?.to_string(), line: line.line }));
        Some((&function.name, place))
    }
}

fn bytes(name: &str, lines: &[Line]) -> usize {
    FUNCTION_BYTES + name.len() + LINE_BYTES * lines.len()
}

fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|long| u64::from_le_bytes(*long))
}

#[derive(Debug)]
struct Dump {
    file: File,
    dumped: Dumped,
    looked: Option<Instant>,
}

/// The dumps of all processes, by pid.
#[derive(Debug, Default)]
pub struct JitDumps {
    dumps: HashMap<u32, Dump>,
    now: u64,
}

impl JitDumps {
    /// Stacks that come now are of this time, of the kernel's clock.
    pub fn reached(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// A process marks its dump by mapping it.
    pub fn mapped(&mut self, pid: u32, mapping: &Mapping, root: Option<&Root>) {
        if !is_dump(&mapping.path) || self.dumps.contains_key(&pid) || self.dumps.len() >= MOST_DUMPS {
            return;
        }
        if let Some(file) = open(pid, mapping, root) {
            self.dumps.insert(pid, Dump { file, dumped: Dumped::default(), looked: None });
        }
    }

    /// The child has its parent's code.
    pub fn forked(&mut self, parent: u32, child: u32) {
        let file = self.dumps.get(&parent).and_then(|dump| dump.file.try_clone().ok());
        if let Some(file) = file.filter(|_| self.dumps.len() < MOST_DUMPS) {
            self.dumps.insert(child, Dump { file, dumped: Dumped::default(), looked: None });
        }
    }

    pub fn forget(&mut self, pid: u32) {
        self.dumps.remove(&pid);
    }

    pub fn find(&mut self, pid: u32, address: u64) -> Option<(&str, Option<JitPlace>)> {
        let dump = self.dumps.get(&pid)?;
        if dump.dumped.next <= self.now || dump.looked.is_none_or(|looked| looked.elapsed() >= READ_AGAIN) {
            let others: usize = self.dumps.values().map(|dump| dump.dumped.held).sum();
            let limit = HELD_LIMIT.saturating_sub(others).saturating_add(dump.dumped.held);
            let now = self.now;
            self.dumps.get_mut(&pid)?.look(now, limit);
        }
        self.dumps.get(&pid)?.dumped.find(address)
    }
}

impl Dump {
    fn look(&mut self, now: u64, limit: usize) {
        self.looked = Some(Instant::now());
        let Ok(length) = self.file.metadata().map(|metadata| metadata.len()) else { return };
        let read = |at: u64, bytes: &mut [u8]| self.file.read_at(bytes, at).unwrap_or(0);
        self.dumped.take(&read, length, (now, monotonic()), limit);
    }
}

fn monotonic() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// `jit-4711.dump`. The number is the process's own, in its namespace.
fn is_dump(path: &str) -> bool {
    let number = path.rsplit('/').next().and_then(|name| name.strip_prefix("jit-")?.strip_suffix(".dump"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The file that is mapped; where the kernel does not give that, the one of its path, not through a link.
fn open(pid: u32, mapping: &Mapping, root: Option<&Root>) -> Option<File> {
    let end = mapping.start.checked_add(mapping.length)?;
    let by_path = || match root {
        Some(root) => root.open_itself(&mapping.path),
        None => Root::of(pid)?.open_itself(&mapping.path),
    };
    let file = mapped_file(Sought { pid, start: mapping.start, end }).or_else(by_path)?;
    let metadata = file.metadata().ok()?;
    (metadata.uid() == 0 || Some(metadata.uid()) == proc_status::read(pid).user).then_some(file)
}

#[cfg(test)]
#[path = "jit_dump_tests.rs"]
mod tests;
