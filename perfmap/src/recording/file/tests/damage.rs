//! What is no recording, or no whole one, is refused with the reason.

use proptest::prelude::*;

use super::*;

#[test]
fn paths_that_are_no_text_are_kept_as_far_as_they_can() {
    use std::os::unix::ffi::OsStringExt;
    let mut recording = sample();
    recording.meta.working_directory = std::ffi::OsString::from_vec(b"/w\xff/x".to_vec()).into();
    let decoded = decode(&encode(&recording).unwrap()).unwrap();
    assert_eq!(decoded.meta.working_directory.to_str(), Some("/w\u{fffd}/x"));
    assert_eq!(decoded.events, recording.events);
}

#[test]
fn says_what_is_wrong() {
    let file = encode(&sample()).unwrap();
    assert_eq!(decode(b""), Err(FileError::NotARecording));
    assert_eq!(decode(b"perf"), Err(FileError::Truncated));
    assert_eq!(decode(b"\x7fELF and so on, some more bytes"), Err(FileError::NotARecording));
    let mut newer = file.clone();
    newer[8] = 200;
    assert_eq!(decode(&newer), Err(FileError::NewerVersion { found: 200, supported: FORMAT_VERSION }));
    let mut older = file.clone();
    older[8] = 0;
    assert_eq!(decode(&older), Err(FileError::OtherVersion { found: 0, supported: FORMAT_VERSION }));
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(decode(&longer), Err(corrupt("bytes behind its end")));
    for end in 8..file.len() {
        assert_eq!(decode(&file[..end]), Err(FileError::Truncated), "cut at {end} of {}", file.len());
    }
}

#[test]
fn a_bomb_is_refused_before_it_grows() {
    let bomb = |claimed: u64, real: usize| {
        let mut file = [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &claimed.to_le_bytes()].concat();
        file.extend(zstd::bulk::compress(&vec![0; real], 1).unwrap());
        decode(&file)
    };
    assert!(matches!(bomb(u64::MAX, 100), Err(FileError::Corrupt { what }) if what.contains("claims")));
    assert!(matches!(bomb(1 << 26, 1 << 26), Err(FileError::Corrupt { what }) if what.contains("claims")));
    assert!(matches!(bomb(1000, 1 << 26), Err(FileError::Corrupt { what }) if what.contains("length")));
}

type Break = fn(&mut Recording);

#[test]
fn every_id_is_checked() {
    let breaks: [Break; 24] = [
        |r| r.meta.root = Some(TaskId(2)),
        |r| r.processes[0].parent = Some(ProcessId(1)),
        |r| r.processes[0].parent = Some(ProcessId(0)),
        |r| r.tasks[0].process = ProcessId(1),
        |r| r.tasks[0].maker = Some(TaskId(9)),
        |r| r.tasks[0].maker = Some(TaskId(1)),
        |r| r.sockets[0].process = ProcessId(1),
        |r| r.modules.clear(),
        |r| r.kernel_symbols.clear(),
        |r| r.codes.clear(),
        |r| r.stacks[0].native = Box::new([FrameId(6)]),
        |r| r.stacks[0].kernel = Box::new([FrameId(6)]),
        |r| r.stacks[0].python = Box::new([PythonFrameId(1)]),
        |r| r.symbols.truncate(1),
        |r| r.calls[0].task = TaskId(2),
        |r| r.calls[0].object = OnObject::Socket(SocketId(4)),
        |r| r.calls[0].stack = Some(StackId(5)),
        |r| r.calls.clear(),
        |r| r.events.reverse(),
        |r| r.work.progress.reverse(),
        |r| r.work.sweep = vec![r.work.sweep[0]; MOST_SWEEP + 1],
        |r| r.stacks.clear(),
        |r| r.sockets.clear(),
        |r| {
            if let Event::OffCpu(OffCpu { waker: Some(waker), .. }) = &mut r.events[1] {
                waker.task = Some(TaskId(2));
            }
        },
    ];
    for (index, damage) in breaks.into_iter().enumerate() {
        let mut recording = sample();
        damage(&mut recording);
        assert!(matches!(check::check(&recording), Err(FileError::Corrupt { .. })), "damage {index} passed");
    }
}

#[test]
fn long_chains_of_processes_are_walked_once() {
    let mut recording = sample();
    let first = recording.processes[0].clone();
    recording.processes = (0..100_000_u32)
        .map(|index| Process { parent: index.checked_sub(1).map(ProcessId), ..first.clone() })
        .collect();
    assert_eq!(check::check(&recording), Ok(()));
    recording.processes.reverse();
    let last = recording.processes.len() as u32 - 1;
    for (index, process) in recording.processes.iter_mut().enumerate() {
        process.parent = (index as u32 != last).then_some(ProcessId(index as u32 + 1));
    }
    assert_eq!(check::check(&recording), Ok(()));
}

proptest! {
    #[test]
    fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        let mut file = if magic { [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes()].concat() } else { Vec::new() };
        file.extend(bytes);
        prop_assert!(decode(&file).is_err());
    }

    #[test]
    fn a_flipped_bit_is_seen(at in any::<usize>(), bit in 0_u32..8) {
        let mut file = encode(&sample()).unwrap();
        let at = at % file.len();
        file[at] ^= 1_u8 << bit;
        // Some bits of a frame's header mean nothing: then the recording must be whole.
        if let Ok(decoded) = decode(&file) {
            prop_assert_eq!(decoded, sample());
        }
    }

    /// Beneath the checksum: damaged content must not get past the decoder inconsistent, nor break it.
    #[test]
    fn damaged_content_is_refused_or_consistent(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut raw = content(&sample()).unwrap();
        for (at, byte) in changes {
            let at = at % raw.len();
            raw[at] = byte;
        }
        let mut file = [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &(raw.len() as u64).to_le_bytes()].concat();
        file.extend(zstd::bulk::compress(&raw, 1).unwrap());
        if let Ok(recording) = decode(&file) {
            prop_assert_eq!(check::check(&recording), Ok(()));
        }
    }
}
