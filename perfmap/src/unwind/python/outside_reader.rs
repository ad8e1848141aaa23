//! Whether the files of a process's interpreter may be given to a reader that maps them whole and believes their
//! section headers (the py-spy crate does): regular, of a bounded size, with bounded unfilled sections.
//!
//! A file that is changed between this look and the reader's own is not guarded against.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::discover::worth_a_look;
use crate::unwind::open::in_root_of;
use crate::unwind::spaces::parse_all_maps;

/// Chromium with symbols has a gigabyte; no interpreter comes near.
const FILE_BYTES: u64 = 1 << 30;
/// CPython's `.bss` has some 200 KB; the reader copies as many bytes as the header says.
const UNFILLED_BYTES: u64 = 64 << 20;
const SECTIONS: usize = 4096;
const SECTION_HEADER: usize = 64;
const MAPS_BYTES: u64 = 32 << 20;
/// elf.h
const SHT_NOBITS: u32 = 8;

/// Err: why not.
pub fn may_be_given(pid: u32) -> Result<(), String> {
    let executable = File::open(format!("/proc/{pid}/exe")).map_err(|error| format!("its program: {error}"))?;
    bounded(&executable)?;
    let mut text = Vec::new();
    let maps = File::open(format!("/proc/{pid}/maps"));
    maps.and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, MAPS_BYTES), &mut text))
        .map_err(|error| format!("its mappings: {error}"))?;
    let mut seen: Vec<String> = Vec::new();
    for mapping in parse_all_maps(&text) {
        if worth_a_look(&mapping.path) && !seen.contains(&mapping.path) {
            let file = in_root_of(pid, &mapping.path).ok_or_else(|| format!("{} is not to be found", mapping.path))?;
            bounded(&file)?;
            seen.push(mapping.path);
        }
    }
    Ok(())
}

fn bounded(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES {
        return Err("its program is no file, or too large a one".to_owned());
    }
    match unfilled(file) {
        Some(bytes) if bytes <= UNFILLED_BYTES => Ok(()),
        Some(bytes) => Err(format!("its program has an unfilled section of {bytes} bytes")),
        None => Err("its program is no ELF file with section headers".to_owned()),
    }
}

/// The largest section that has no bytes in the file.
fn unfilled(file: &File) -> Option<u64> {
    let mut head = [0; 64];
    file.read_exact_at(&mut head, 0).ok()?;
    // 64 bit, little endian.
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?));
    let (table, size, count) = (word(&head, 0x28)?, usize::from(half(0x3a)?), usize::from(half(0x3c)?));
    if size != SECTION_HEADER || count == 0 || count > SECTIONS {
        return None;
    }
    let mut headers = vec![0; size * count];
    file.read_exact_at(&mut headers, table).ok()?;
    let of = |header: &[u8]| {
        let kind = u32::from_le_bytes(header.get(4..8)?.try_into().ok()?);
        (kind == SHT_NOBITS).then(|| word(header, 0x20)).flatten()
    };
    Some(headers.chunks_exact(size).filter_map(of).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn we_ourselves_are_bounded() {
        assert!(bounded(&File::open("/proc/self/exe").unwrap()).is_ok());
        assert_eq!(may_be_given(std::process::id()), Ok(()));
        assert!(may_be_given(u32::MAX).is_err());
    }

    #[test]
    fn a_section_that_claims_the_address_space_is_refused() {
        let mut bytes = vec![0; 128];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x28] = 64;
        bytes[0x3a] = 64;
        bytes[0x3c] = 1;
        bytes[64 + 4] = 8;
        assert_eq!(unfilled(&file_of(&bytes)), Some(0));
        bytes[64 + 0x20 + 6] = 1;
        assert_eq!(
            bounded(&file_of(&bytes)),
            Err("its program has an unfilled section of 281474976710656 bytes".into())
        );
        assert!(bounded(&file_of(b"#!/bin/sh")).is_err());
    }

    proptest! {
        #[test]
        fn any_file_is_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), elf: bool) {
            if elf && bytes.len() > 6 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            }
            let _ = bounded(&file_of(&bytes));
        }
    }
}
