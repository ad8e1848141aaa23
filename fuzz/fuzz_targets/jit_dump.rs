//! Any bytes as jit-PID.dump, then look-ups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::unwind::jit_dump::Dumped;

fuzz_target!(|bytes: &[u8]| {
    let mut dumped = Dumped::default();
    let read = |at: u64, to: &mut [u8]| {
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        count
    };
    for now in [0, 1 << 32, u64::MAX] {
        dumped.take(&read, bytes.len() as u64, (now, u64::MAX), 1 << 20);
        for word in bytes.chunks_exact(8) {
            dumped.find(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
    }
});
