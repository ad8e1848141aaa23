//! Dumps that the test writes, mapped by the test itself as a runtime would.

use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use proptest::prelude::*;

use super::*;

fn record(kind: u32, at: u64, body: &[u8]) -> Vec<u8> {
    let size = (PREFIX + body.len()) as u32;
    [&kind.to_le_bytes()[..], &size.to_le_bytes(), &at.to_le_bytes(), body].concat()
}

fn head(pid: u32, at: u64, flags: u64) -> Vec<u8> {
    let words = [MAGIC, 1, 40, MACHINE_X86_64, 0, pid].map(u32::to_le_bytes).concat();
    [&words[..], &at.to_le_bytes(), &flags.to_le_bytes()].concat()
}

fn load(at: u64, pid: u32, address: u64, size: u64, name: &str) -> Vec<u8> {
    let numbers = [address, address, size, 1].map(u64::to_le_bytes).concat();
    let code = vec![0x90; size as usize];
    record(LOAD, at, &[&pid.to_le_bytes()[..], &pid.to_le_bytes(), &numbers, name.as_bytes(), &[0], &code].concat())
}

fn moved(at: u64, pid: u32, from: u64, to: u64, size: u64) -> Vec<u8> {
    let numbers = [to, from, to, size, 1].map(u64::to_le_bytes).concat();
    record(MOVE, at, &[&pid.to_le_bytes()[..], &pid.to_le_bytes(), &numbers].concat())
}

fn lines(at: u64, address: u64, entries: &[(u64, u32, &[u8])]) -> Vec<u8> {
    let mut body = [address, entries.len() as u64].map(u64::to_le_bytes).concat();
    for (address, line, file) in entries {
        body.extend([&address.to_le_bytes()[..], &line.to_le_bytes(), &[0; 4], file, &[0]].concat());
    }
    record(DEBUG_INFO, at, &body)
}

fn take(dumped: &mut Dumped, file: &[u8], now: u64) {
    let read = |at: u64, bytes: &mut [u8]| {
        let rest = file.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        count
    };
    dumped.take(&read, file.len() as u64, (now, 1000), HELD_LIMIT);
}

fn name(dumped: &Dumped, address: u64) -> Option<&str> {
    dumped.find(address).map(|(name, _)| name)
}

fn place(dumped: &Dumped, address: u64) -> Option<(String, u32)> {
    dumped.find(address)?.1.map(|place| (place.file, place.line))
}

#[test]
fn an_address_has_the_name_it_had_then() {
    let file = [
        head(7, 5, 0),
        lines(10, 0x1000, &[(0x1010, 12, b"a.x"), (0x1000, 11, b"a.x"), (0x1020, 13, SAME_NAME)]),
        load(10, 7, 0x1000, 0x30, "first"),
        record(4, 10, &[1; 24]),
        load(20, 7, 0x1000, 0x20, "second"),
        load(20, 8, 0x9000, 0x20, "another process's"),
        moved(30, 7, 0x1000, 0x2000, 0x20),
    ]
    .concat();
    let mut dumped = Dumped::default();
    take(&mut dumped, &file, 9);
    assert_eq!((name(&dumped, 0x1000), dumped.next), (None, 10));
    take(&mut dumped, &file, 19);
    assert_eq!(name(&dumped, 0x102f), Some("first"));
    assert_eq!(place(&dumped, 0x100f), Some(("a.x".into(), 11)));
    assert_eq!(place(&dumped, 0x1010), Some(("a.x".into(), 12)));
    assert_eq!(place(&dumped, 0x102f), Some(("a.x".into(), 13)));
    assert_eq!((name(&dumped, 0x1030), name(&dumped, 0xfff)), (None, None));
    take(&mut dumped, &file, 20);
    assert_eq!((name(&dumped, 0x1000), place(&dumped, 0x1000)), (Some("second"), None));
    assert_eq!((name(&dumped, 0x1020), name(&dumped, 0x9000)), (None, None));
    take(&mut dumped, &file, 30);
    assert_eq!((name(&dumped, 0x1000), name(&dumped, 0x201f)), (None, Some("second")));
}

#[test]
fn lines_move_with_their_function() {
    let parts = [
        lines(0, 0x1000, &[(0x1000, 3, b"a.x"), (0x1008, 4, b"b.x")]),
        load(0, 7, 0x1000, 0x10, "f"),
        moved(0, 7, 0x1000, 0x5000, 0x10),
    ];
    let mut dumped = Dumped::default();
    take(&mut dumped, &[head(7, 0, 0), parts.concat()].concat(), 1);
    assert_eq!(place(&dumped, 0x5007), Some(("a.x".into(), 3)));
    assert_eq!(place(&dumped, 0x5008), Some(("b.x".into(), 4)));
}

#[test]
fn a_record_that_is_being_written_waits() {
    let whole = [head(7, 5, 0), load(5, 7, 0x1000, 0x10, "f")].concat();
    let mut dumped = Dumped::default();
    for end in 0..whole.len() {
        take(&mut dumped, &whole[..end], 100);
        assert_eq!(name(&dumped, 0x1000), None);
    }
    take(&mut dumped, &whole, 100);
    assert_eq!(name(&dumped, 0x1000), Some("f"));
}

#[test]
fn times_of_another_clock_are_no_times() {
    // 1000 is what the kernel's clock shows.
    for head in [head(7, 5, FLAG_PROCESSOR_TIME), head(7, 1 << 60, 0)] {
        let mut dumped = Dumped::default();
        take(&mut dumped, &[head, load(1 << 61, 7, 0x1000, 0x10, "f")].concat(), 100);
        assert_eq!(name(&dumped, 0x1000), Some("f"));
    }
}

#[test]
fn what_may_be_held_is_bounded() {
    let parts: Vec<u8> = (0..100).flat_map(|at| load(0, 7, 0x1000 * (at + 1), 0x10, "f")).collect();
    let file = [head(7, 0, 0), parts].concat();
    let mut dumped = Dumped::default();
    let read = |at: u64, bytes: &mut [u8]| {
        let rest = file.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        count
    };
    dumped.take(&read, file.len() as u64, (1, 1), 10 * FUNCTION_BYTES);
    assert_eq!((name(&dumped, 0x1000), name(&dumped, 0x64000)), (Some("f"), None));
    assert!(dumped.held <= 11 * FUNCTION_BYTES);
}

#[test]
fn the_mapping_leads_to_the_file_and_a_link_does_not() {
    let us = std::process::id();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("jit-{us}.dump"));
    std::fs::write(&path, [head(us, 0, 0), load(1, us, 0x1000, 0x10, "generated")].concat()).unwrap();
    let file = File::open(&path).unwrap();
    let size = NonZeroUsize::new(4096).unwrap();
    // SAFETY: a new mapping where the kernel likes; nothing in it is read or executed.
    let start =
        unsafe { mmap(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_EXEC, MapFlags::MAP_PRIVATE, &file, 0) };
    let start = start.unwrap();
    let mappings = crate::unwind::read_mappings(us);
    let marked = mappings.iter().find(|mapping| mapping.path == path.to_str().unwrap()).unwrap().clone();
    let mut dumps = JitDumps::default();
    for mapping in &mappings {
        dumps.mapped(us, mapping, None);
    }
    assert_eq!(dumps.find(us, 0x1000), None, "the time of it is not reached");
    dumps.reached(2);
    assert_eq!(dumps.find(us, 0x100f), Some(("generated", None)));
    dumps.forked(us, u32::MAX);
    assert_eq!(dumps.find(u32::MAX, 0x1000), Some(("generated", None)));
    dumps.forget(us);
    assert_eq!(dumps.find(us, 0x1000), None);
    // SAFETY: what was mapped above; nothing points into it.
    unsafe { munmap(start, size.get()) }.unwrap();
    assert!(file.as_raw_fd() >= 0);

    std::fs::rename(&path, directory.path().join("other")).unwrap();
    std::os::unix::fs::symlink(directory.path().join("other"), &path).unwrap();
    assert!(open(us, &marked, None).is_none(), "no longer mapped, and a link by its path");
    for (path, is) in
        [("/a/jit-1.dump", true), ("/a/jit-.dump", false), ("/jit-1x.dump", false), ("jit-1.dump/x", false)]
    {
        assert_eq!(is_dump(path), is, "{path}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(
        records in proptest::collection::vec((0u32..5, 0u32..90, proptest::collection::vec(any::<u8>(), 0..80)), 0..12),
        address in any::<u64>(),
        flags in 0u64..2,
    ) {
        let body = records.iter().flat_map(|(kind, size, bytes)| {
            [&kind.to_le_bytes()[..], &size.to_le_bytes(), &0u64.to_le_bytes(), bytes].concat()
        });
        let file: Vec<u8> = head(7, 0, flags).into_iter().chain(body).collect();
        let mut dumped = Dumped::default();
        take(&mut dumped, &file, u64::MAX);
        dumped.find(address);
    }

    /// Nothing overlaps, and the newest function that covers an address names it.
    #[test]
    fn the_newest_names_it(functions in proptest::collection::vec((0u64..64, 1u64..16), 1..30)) {
        let mut file = head(7, 0, 0);
        let mut dumped = Dumped::default();
        for (number, (start, size)) in functions.iter().enumerate() {
            let expected = number.to_string();
            file.extend(load(0, 7, *start, *size, &expected));
            take(&mut dumped, &file, 1);
            for address in *start..start + size {
                prop_assert_eq!(name(&dumped, address), Some(expected.as_str()));
            }
        }
        let all: Vec<_> = dumped.functions.iter().collect();
        for pair in all.windows(2) {
            prop_assert!(pair[0].1.end <= *pair[1].0);
        }
    }
}

/// A sparse file is made for nothing; what is read of it is not.
#[test]
fn tables_of_lines_are_read_in_bounded_amounts() {
    let size = 1_u32 << 20;
    let mut head = Vec::new();
    for word in [MAGIC, 1, HEADER as u32, MACHINE_X86_64, 0, 7] {
        head.extend(word.to_ne_bytes());
    }
    head.resize(HEADER as usize, 0);
    let count = std::cell::Cell::new(0_u64);
    let read = |at: u64, into: &mut [u8]| {
        if at == 0 {
            into[..head.len()].copy_from_slice(&head);
            return head.len();
        }
        into.fill(0);
        into[..4].copy_from_slice(&DEBUG_INFO.to_ne_bytes());
        into[4..8].copy_from_slice(&size.to_ne_bytes());
        count.set(count.get() + into.len() as u64);
        into.len()
    };
    let mut dumped = Dumped::default();
    let length = HEADER + (4 << 30);
    dumped.take(&read, length, (1, 1), HELD_LIMIT);
    assert!(count.get() <= DEBUG_AT_ONCE + (1 << 20), "{} bytes at once", count.get());
    for _ in 0..400 {
        dumped.take(&read, length, (1, 1), HELD_LIMIT);
    }
    assert!(dumped.broken && count.get() <= DEBUG_IN_ALL + (1 << 27), "{} bytes in all", count.get());
}
