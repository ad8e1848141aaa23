//! A program's thread-local variable → where it lies, counted from the thread pointer.

use object::elf::PT_TLS;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Object, ObjectSymbol};

use super::{Look, parse};

const ONE_WORD: u64 = 8;

impl Look {
    /// Of the program itself, whose block ends at the thread pointer. A static program of Go's has no such segment: there the
    /// one variable is the last word; in one that Go's own linker made for a dynamic linker there is no symbol, but the
    /// variable is all of the segment. None: others are there, and no symbol.
    pub fn thread_local(&self, name: &str) -> Option<i64> {
        let elf = parse(&self.blocks).ok()?;
        let endian = elf.endian();
        let headers = elf.elf_header().program_headers(endian, elf.data()).ok()?;
        let Some(segment) = headers.iter().find(|header| header.p_type(endian) == PT_TLS) else { return Some(-8) };
        let size = segment.p_memsz(endian).checked_next_multiple_of(segment.p_align(endian).max(1))?;
        let address = match elf.symbols().find(|symbol| symbol.name_bytes() == Ok(name.as_bytes())) {
            Some(symbol) => symbol.address(),
            None if size == ONE_WORD => 0,
            None => return None,
        };
        i64::try_from(address).ok()?.checked_sub(i64::try_from(size).ok()?)
    }
}
