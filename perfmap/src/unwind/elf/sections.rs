//! Whole sections by their names, and the pointers that the dynamic linker writes into a file that may lie anywhere.

use std::sync::Arc;

use object::{Object, ObjectSection};

use super::{Look, SECTION_LIMIT, parse};

/// sizeof(Elf64_Rela)
const RELOCATION: usize = 24;
const R_X86_64_RELATIVE: u32 = 8;

impl Look {
    /// A section's linked address and its bytes, as they are in the file.
    pub fn section(&self, name: &str) -> Option<(u64, Arc<[u8]>)> {
        let elf = parse(&self.blocks).ok()?;
        let section = elf.section_by_name(name)?;
        let (offset, size) = section.file_range().filter(|(_, size)| *size <= SECTION_LIMIT)?;
        Some((section.address(), self.blocks.read(offset, size).ok()?))
    }

    pub fn section_address(&self, name: &str) -> Option<u64> {
        Some(parse(&self.blocks).ok()?.section_by_name(name)?.address())
    }

    /// Where the dynamic linker writes pointers into the file itself, and what they point to: both as linked.
    pub fn relative_pointers(&self) -> Vec<(u64, u64)> {
        let sections = [".rela.dyn", ".rela"].into_iter().filter_map(|name| self.section(name));
        let mut pointers = Vec::new();
        for (_, bytes) in sections {
            for entry in bytes.as_chunks::<RELOCATION>().0 {
                let word = |at: usize| entry[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                if word(8) as u32 == R_X86_64_RELATIVE {
                    pointers.push((word(0), word(16)));
                }
            }
        }
        pointers
    }
}
