//! Any bytes as /proc/PID/maps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::unwind::spaces::{parse_all_maps, parse_maps};

fuzz_target!(|bytes: &[u8]| {
    parse_maps(bytes);
    parse_all_maps(bytes);
});
