//! The unwinder over a real stopped process: this test binary, started again in a function that sleeps.

use std::process::Command;
use std::time::Instant;

use super::*;
use crate::unwind::stopped::{Stopped, ourselves};

/// It is made in one thread and used in another.
#[test]
fn can_be_moved_to_a_thread() {
    fn sendable<T: Send>() {}
    sendable::<Unwinder>();
    sendable::<crate::unwind::python::table::CodeTable>();
}

#[test]
fn unwinds_a_sleeping_program_to_its_first_function() {
    let stopped = Stopped::in_sleep(Command::new("/bin/sh").args(["-c", "echo ready; exec sleep 60"]));
    let mut unwinder = Unwinder::default();
    assert!(unwinder.read_from_proc(stopped.pid()));
    let (frames, end) = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack);
    assert_eq!(end, StackEnd::Complete, "{frames:?}");
    let modules: Vec<&str> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Native { module, .. } => unwinder.modules().path(*module).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(modules[0].contains("libc"), "{modules:?}");
    assert!(modules.last().unwrap().ends_with("sleep"), "{modules:?}");
}

#[test]
fn a_short_copy_and_a_missing_mapping_are_said() {
    let stopped = ourselves();
    let mut unwinder = Unwinder::default();
    unwinder.read_from_proc(stopped.pid());
    let (whole, end) = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack);
    assert_eq!(end, StackEnd::Complete);
    assert!(whole.len() > 12);
    let (cut, end) = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack[..512]);
    assert_eq!(end, StackEnd::CopyTooShort);
    assert_eq!(cut[..], whole[..cut.len()]);
    unwinder.executed(stopped.pid());
    let (frames, end) = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack);
    assert_eq!((frames, end), (vec![Frame::Unmapped { address: stopped.registers[16] }], StackEnd::NoRule));
    let mut nothing = stopped.registers;
    nothing[16] = 0;
    assert_eq!(unwinder.walk(stopped.pid(), &nothing, &[]), (Vec::new(), StackEnd::NotWalked));
}

/// The dynamic linker's first code calls the rest of it without a rule that says where itself was called from.
#[test]
fn the_first_code_of_a_program_has_no_caller() {
    let stopped = ourselves();
    let mut unwinder = Unwinder::default();
    unwinder.read_from_proc(stopped.pid());
    let ranges = unwinder.spaces().ranges(stopped.pid()).to_vec();
    let linker = |range: &&MappedRange| {
        unwinder.modules().path(range.module).is_some_and(|path| path.contains("ld-linux") || path.contains("/ld-"))
    };
    let range = *ranges.iter().find(linker).unwrap();
    let entry = unwinder.modules.image(range.module).unwrap().entry.unwrap();
    let at = |offset: u64| range.start + (offset - range.file_offset);
    let mut end = |offset: u64| {
        let mut registers = stopped.registers;
        registers[16] = at(offset);
        // No caller on the stack: neither its arguments nor zeros are code.
        unwinder.walk(stopped.pid(), &registers, &[7; 4096])
    };
    let (frames, whole) = end(entry + 8);
    assert_eq!((frames.len(), whole), (1, StackEnd::Complete));
    assert_ne!(end(entry + 4096).1, StackEnd::Complete);
}

#[test]
fn a_forked_child_has_its_parents_mappings() {
    let stopped = ourselves();
    let mut unwinder = Unwinder::default();
    unwinder.read_from_proc(stopped.pid());
    let parent = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack);
    unwinder.forked(stopped.pid(), u32::MAX);
    unwinder.exited(stopped.pid());
    assert_eq!(unwinder.walk(u32::MAX, &stopped.registers, &stopped.stack), parent);
    let began = Instant::now();
    for _ in 0..1000 {
        unwinder.walk(u32::MAX, &stopped.registers, &stopped.stack);
    }
    eprintln!("{} frames, {:?} per 1000 warm walks (debug build)", parent.0.len(), began.elapsed());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    /// Any registers and any stack give frames and a reason, never a panic, never an endless walk.
    #[test]
    fn any_stack_is_walked(noise in proptest::collection::vec(0u64.., 17), stack in proptest::collection::vec(0u64..64, 0..300)) {
        thread_local! {
            static UNWINDER: std::cell::RefCell<(Unwinder, Vec<MappedRange>)> = {
                let mut unwinder = Unwinder::default();
                unwinder.read_from_proc(std::process::id());
                let ranges = unwinder.spaces().ranges(std::process::id()).to_vec();
                std::cell::RefCell::new((unwinder, ranges))
            };
        }
        UNWINDER.with_borrow_mut(|(unwinder, ranges)| {
            let bottom = 0x7fff_0000_0000u64;
            let mut registers: Registers = noise.try_into().unwrap();
            registers[7] = bottom;
            registers[6] = bottom + registers[6] % 4096;
            // Addresses of code, and of the stack.
            let code = |value: u64| {
                let range = ranges[(value % ranges.len() as u64) as usize];
                range.start + value.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (range.end - range.start)
            };
            registers[16] = code(registers[16]);
            let words = stack.iter().map(|value| if value % 2 == 0 { code(*value) } else { bottom + value * 64 });
            let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
            let (frames, _) = unwinder.walk(std::process::id(), &registers, &bytes);
            assert!(!frames.is_empty() && frames.len() <= MAX_FRAMES);
        });
    }
}
