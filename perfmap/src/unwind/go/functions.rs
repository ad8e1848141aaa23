//! A program of Go's, stripped or not → functions, files and lines of its addresses, from the file alone: the table of
//! [`super::pclntab`], and from the runtime's own description of the program (`moduledata`) where code and the functions'
//! data begin.

use std::collections::BTreeMap;
use std::fs::File;

use super::pclntab::{Form, Position, Table};
use crate::unwind::elf::Look;

const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Where the description lies: in 1.26 and later in a section of its own.
const DESCRIPTIONS: [&str; 4] = [".go.module", ".noptrdata", ".data.rel.ro", ".data"];
/// Words of the description: pointers to the table and to its parts, then the first and last code.
const NAMES: u64 = 1;
const ENTRIES: u64 = 16;
const FIRST: u64 = 20;
const LAST: u64 = 21;
const TEXT: u64 = 22;
/// One of these points to the functions' data: releases put words before it (38 in 1.18, 40 in 1.20, 43 in 1.27).
const DATA: std::ops::Range<u64> = 36..48;

pub struct Functions {
    look: Look,
    table: Table,
    text: u64,
    /// Where the functions' data begin. None: what was inlined can not be told.
    data: Option<u64>,
}

impl Functions {
    /// None: no program of Go's, or of a form that is not known.
    pub fn of(file: &File) -> Option<Functions> {
        let look = Look::new(file).ok()?;
        let (address, bytes) = SECTIONS.iter().find_map(|name| look.section(name))?;
        let table = Table::new(bytes)?;
        let described = described(&look, &table, address);
        let text = match described {
            Some((text, _)) => text,
            None => undescribed(&look, &table)?,
        };
        let data = described.and_then(|(_, data)| data);
        Some(Functions { look, table, text, data })
    }

    /// Innermost first; nothing where there is none of Go's functions. `address` is a linked one.
    pub fn at(&self, address: u64) -> Vec<Position> {
        let Some(at) = address.checked_sub(self.text) else { return Vec::new() };
        self.table.at(at, &|offset, size| self.look.bytes_at(self.data?.checked_add(offset.into())?, size))
    }
}

/// Where code and the functions' data begin, checked against the table: a description of another layout is none.
fn described(look: &Look, table: &Table, address: u64) -> Option<(u64, Option<u64>)> {
    let pointers: BTreeMap<u64, u64> = look.relative_pointers().into_iter().collect();
    let word = |at: u64| {
        let placed = pointers.get(&at).copied();
        placed.or_else(|| Some(u64::from_le_bytes(*look.bytes_at(at, 8)?.first_chunk()?)))
    };
    let fits = |at: u64| {
        let read = |number: u64| word(at.checked_add(8 * number)?);
        let part = |offset: usize| address.checked_add(offset as u64);
        if read(NAMES)? != part(table.names)? || read(ENTRIES)? != part(table.entries)? {
            return None;
        }
        let text = if table.form == Form::V16 { 0 } else { read(TEXT)? };
        let (first, last) = table.extent()?;
        if read(FIRST)? != text.checked_add(first)? || read(LAST)? != text.checked_add(last)? {
            return None;
        }
        let is_data = |data: &u64| {
            *data != 0 && table.fits(&|offset, size| look.bytes_at(data.checked_add(offset.into())?, size))
        };
        Some((text, DATA.filter_map(read).find(is_data)))
    };
    let placed = pointers.iter().filter(|(_, to)| **to == address).map(|(at, _)| *at);
    if let Some(found) = placed.into_iter().find_map(fits) {
        return Some(found);
    }
    DESCRIPTIONS.iter().filter_map(|name| look.section(name)).find_map(|(start, bytes)| {
        let words = bytes.as_chunks::<8>().0.iter().enumerate();
        let places = words.filter(|(_, word)| u64::from_le_bytes(**word) == address);
        places.filter_map(|(at, _)| start.checked_add(8 * at as u64)).find_map(fits)
    })
}

/// From the table itself, where older linkers wrote it; otherwise the section, if the program's first instruction is then a
/// function's first (it is not beside C, which the section begins with).
fn undescribed(look: &Look, table: &Table) -> Option<u64> {
    if table.form == Form::V16 {
        return Some(0);
    }
    if table.text_start != 0 {
        return Some(table.text_start);
    }
    let start = look.section_address(".text")?;
    table.begins(look.entry()?.checked_sub(start)?).then_some(start)
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
