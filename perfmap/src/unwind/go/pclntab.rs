//! The table that every program of Go's carries for its own tracebacks (`.gopclntab`, not removed by stripping) → function,
//! file and line of an address. Headers of 1.16, 1.18 and 1.20 on.
//!
//! Total on any bytes: each number is checked where it is used, and all look-ups together take a bounded number of steps.
//! Knows nothing of ELF; where code begins it is told.

use std::cell::Cell;
use std::sync::Arc;

/// Steps of all look-ups in one table. A function of a thousand lines takes some thousand.
const STEPS: u64 = 1 << 28;
/// Longer names and paths are not Go's: generic ones are shortened by the linker.
const STRING_LIMIT: usize = 4096;
/// Inlined calls inside one another.
const MAX_DEPTH: usize = 64;
/// `PCDATA_InlTreeIndex` and `FUNCDATA_InlTree`.
const INLINED_INDEX: usize = 2;
const INLINED_TREE: usize = 3;
/// Functions among which some with inlined calls are sought, and how many of those are looked at.
const SEARCHED: usize = 4096;
const LOOKED_AT: usize = 64;
const NOTHING: u32 = u32::MAX;

/// The first release with this form of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    V16,
    V18,
    V20,
}

/// One function at an address; inlined ones have others around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub function: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub first_line: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct Table {
    bytes: Arc<[u8]>,
    pub form: Form,
    /// As the file has it: 0 where the dynamic linker or nobody puts it there.
    pub text_start: u64,
    functions: usize,
    quantum: u64,
    pub names: usize,
    units: usize,
    files: usize,
    values: usize,
    pub entries: usize,
    steps: Cell<u64>,
}

/// `_func`.
struct Function {
    /// From where code begins.
    entry: u64,
    name: u32,
    files: u32,
    lines: u32,
    unit: u32,
    first_line: Option<u32>,
    /// Where its further tables are listed, and how many there are of both kinds.
    more: usize,
    values: usize,
    data: usize,
}

impl Table {
    /// None: a form that is not known, or no such table.
    pub fn new(bytes: Arc<[u8]>) -> Option<Table> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let form = match u32::from_le_bytes(*magic) {
            0xffff_fffa => Form::V16,
            0xffff_fff0 => Form::V18,
            0xffff_fff1 => Form::V20,
            _ => return None,
        };
        let [0, 0, quantum @ (1 | 2 | 4), 8] = rest.first_chunk::<4>()? else { return None };
        let quantum = u64::from(*quantum);
        let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(8 + 8 * at..)?.first_chunk()?));
        let place = |at: usize| usize::try_from(word(at)?).ok().filter(|place| *place <= bytes.len());
        let (text_start, first) = if form == Form::V16 { (0, 2) } else { (word(2)?, 3) };
        let functions = usize::try_from(word(0)?).ok()?;
        let [names, units, files, values, entries] =
            [place(first)?, place(first + 1)?, place(first + 2)?, place(first + 3)?, place(first + 4)?];
        let table = Table {
            form,
            text_start,
            functions,
            quantum,
            names,
            units,
            files,
            values,
            entries,
            steps: Cell::new(STEPS),
            bytes,
        };
        // The last entry has the end of the last function alone.
        let size = functions.checked_mul(2 * table.width())?.checked_add(table.width())?;
        (functions > 0 && entries.checked_add(size)? <= table.bytes.len()).then_some(table)
    }

    /// Bytes of one number in the list of functions.
    fn width(&self) -> usize {
        if self.form == Form::V16 { 8 } else { 4 }
    }

    /// The beginning of the function of this number; of the number after the last one, its end.
    fn entry(&self, number: usize) -> Option<u64> {
        self.number(self.entries.checked_add(number.checked_mul(2 * self.width())?)?, self.width())
    }

    /// The first function's beginning and the last one's end.
    pub fn extent(&self) -> Option<(u64, u64)> {
        Some((self.entry(0)?, self.entry(self.functions)?))
    }

    /// Whether a function begins there.
    pub fn begins(&self, at: u64) -> bool {
        self.find(at).and_then(|number| self.entry(number)) == Some(at)
    }

    /// Innermost first; nothing where there is no function. `at` is counted from where code begins (form 1.16: from 0), and
    /// `tree` reads what was inlined: bytes at an offset from the functions' data.
    pub fn at(&self, at: u64, tree: &dyn Fn(u32, usize) -> Option<Vec<u8>>) -> Vec<Position> {
        let mut found = Vec::new();
        let Some(function) = self.find(at).and_then(|number| self.function(number)) else { return found };
        let Some(name) = self.name(function.name) else { return found };
        let mut at = at.saturating_sub(function.entry);
        let inlined = self.inlined_data(&function);
        let mut known = true;
        for _ in 0..MAX_DEPTH {
            let Some(index) = self.index(&function, at) else { break };
            // Where that can not be read, the line is another function's.
            known = false;
            let Some(call) = inlined.and_then(|data| self.inlined(data, index, tree)) else { break };
            let (file, line) = (self.file(&function, at), self.line(&function, at));
            found.push(Position { function: call.name, file, line, first_line: call.first_line });
            at = call.parent;
            known = true;
        }
        let place = known.then(|| (self.file(&function, at), self.line(&function, at)));
        // Only whole: with a call too many the others are in doubt.
        if !known {
            found.clear();
        }
        let (file, line) = place.unwrap_or_default();
        let first_line = function.first_line.or_else(|| {
            let begins = self.index(&function, 0).is_none();
            begins.then(|| self.line(&function, 0)).flatten()
        });
        found.push(Position { function: name, file, line, first_line });
        found
    }

    /// Whether these can be the functions' data: the inlined calls of the first functions that have any must all be ones.
    pub fn fits(&self, tree: &dyn Fn(u32, usize) -> Option<Vec<u8>>) -> bool {
        let mut seen = 0;
        for number in 0..self.functions.min(SEARCHED) {
            let Some((function, end)) = self.function(number).zip(self.entry(number + 1)) else { return false };
            let Some(data) = self.inlined_data(&function) else { continue };
            let call = self.inlined(data, 0, tree);
            if call.is_none_or(|call| function.entry.checked_add(call.parent).is_none_or(|at| at >= end)) {
                return false;
            }
            seen += 1;
            if seen == LOOKED_AT {
                break;
            }
        }
        seen > 0
    }

    fn find(&self, at: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.functions);
        // The first one behind it.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)? <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let number = low.checked_sub(1)?;
        (self.entry(number)?..self.entry(number + 1)?).contains(&at).then_some(number)
    }

    fn function(&self, number: usize) -> Option<Function> {
        let width = self.width();
        let slot = self.entries.checked_add(number.checked_mul(2 * width)?)?.checked_add(width)?;
        let at = self.entries.checked_add(usize::try_from(self.number(slot, width)?).ok()?)?;
        let entry = self.number(at, width)?;
        let rest = at.checked_add(width)?;
        let field = |index: usize| self.word(rest.checked_add(4 * index)?);
        let (first_line, flags) = match self.form {
            Form::V20 => (field(8).filter(|line| *line > 0 && *line <= i32::MAX as u32), 9),
            Form::V16 | Form::V18 => (None, 8),
        };
        let more = rest.checked_add(4 * (flags + 1))?;
        Some(Function {
            entry,
            name: field(0)?,
            files: field(4)?,
            lines: field(5)?,
            values: usize::try_from(field(6)?).ok()?,
            unit: field(7)?,
            first_line,
            more,
            data: (field(flags)? >> 24) as usize,
        })
    }

    /// Names follow each other; none begins within another.
    fn name(&self, at: u32) -> Option<String> {
        if let Some(before) = at.checked_sub(1) {
            let before = self.names.checked_add(usize::try_from(before).ok()?)?;
            self.bytes.get(before).filter(|byte| **byte == 0)?;
        }
        let name = self.string(self.names, at)?;
        (!name.is_empty()).then_some(name)
    }

    fn line(&self, function: &Function, at: u64) -> Option<u32> {
        let line = self.value(function.lines, at)?;
        u32::try_from(line).ok().filter(|line| *line > 0)
    }

    fn file(&self, function: &Function, at: u64) -> Option<String> {
        let number = u32::try_from(self.value(function.files, at)?).ok()?;
        let unit = usize::try_from(function.unit.checked_add(number)?).ok()?;
        let place = self.word(self.units.checked_add(unit.checked_mul(4)?)?)?;
        if place == NOTHING {
            return None;
        }
        self.string(self.files, place).filter(|file| !file.is_empty() && file != "?" && file != "<autogenerated>")
    }

    /// Which of the inlined calls an address is in.
    fn index(&self, function: &Function, at: u64) -> Option<u32> {
        if function.values <= INLINED_INDEX {
            return None;
        }
        let table = self.word(function.more.checked_add(4 * INLINED_INDEX)?)?;
        u32::try_from(self.value(table, at)?).ok()
    }

    /// Offset of the inlined calls in the functions' data. 1.16 has pointers instead, which are not followed.
    fn inlined_data(&self, function: &Function) -> Option<u32> {
        if self.form == Form::V16 || function.data <= INLINED_TREE {
            return None;
        }
        let lists = function.values.checked_add(INLINED_TREE)?;
        self.word(function.more.checked_add(lists.checked_mul(4)?)?).filter(|data| *data != NOTHING)
    }

    fn inlined(&self, data: u32, index: u32, tree: &dyn Fn(u32, usize) -> Option<Vec<u8>>) -> Option<Inlined> {
        // Two forms of `inlinedCall`: where it is called from, its name, where it begins.
        let (size, name, parent, first_line) =
            if self.form == Form::V20 { (16, 4, 8, Some(12)) } else { (20, 12, 16, None) };
        let call = tree(data.checked_add(index.checked_mul(size)?)?, size as usize)?;
        let field = |at: usize| Some(u32::from_le_bytes(*call.get(at..)?.first_chunk()?));
        let padding = if self.form == Form::V20 { call.get(1..4)? } else { call.get(3..4)? };
        if padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        let positive = |value: u32| i32::try_from(value).ok().map(|_| value);
        Some(Inlined {
            name: self.name(positive(field(name)?)?)?,
            parent: positive(field(parent)?)?.into(),
            first_line: first_line.and_then(field).and_then(positive).filter(|line| *line > 0),
        })
    }

    /// A table of values, each for a stretch of code: differences of both, in as few bytes as they need.
    fn value(&self, table: u32, at: u64) -> Option<i64> {
        if table == 0 {
            return None;
        }
        let mut next = self.values.checked_add(usize::try_from(table).ok()?)?;
        let (mut value, mut end, mut first) = (-1_i64, 0_u64, true);
        loop {
            self.steps.set(self.steps.get().checked_sub(1)?);
            let change = self.varint(&mut next)?;
            if change == 0 && !first {
                return None;
            }
            first = false;
            let change = i64::from(change >> 1) ^ -i64::from(change & 1);
            value = value.checked_add(change)?;
            end = end.checked_add(u64::from(self.varint(&mut next)?) * self.quantum)?;
            if at < end {
                return Some(value);
            }
        }
    }

    fn varint(&self, next: &mut usize) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(*next)?;
            *next += 1;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..)?;
        Some(match width {
            8 => u64::from_le_bytes(*bytes.first_chunk()?),
            _ => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    fn string(&self, table: usize, at: u32) -> Option<String> {
        let bytes = self.bytes.get(table.checked_add(usize::try_from(at).ok()?)?..)?;
        let bytes = bytes.get(..STRING_LIMIT.min(bytes.len()))?;
        let text = bytes.get(..memchr::memchr(0, bytes)?)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

struct Inlined {
    name: String,
    /// Where in the function it is called.
    parent: u64,
    first_line: Option<u32>,
}

#[cfg(test)]
#[path = "pclntab_tests.rs"]
mod tests;
