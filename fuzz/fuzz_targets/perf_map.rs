//! Any bytes as /tmp/perf-PID.map, then look-ups.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::unwind::perf_map::NamedRanges;

fuzz_target!(|bytes: &[u8]| {
    let mut ranges = NamedRanges::default();
    ranges.add_lines(bytes);
    for word in bytes.chunks_exact(8) {
        ranges.name(u64::from_le_bytes(word.try_into().unwrap_or_default()));
    }
});
