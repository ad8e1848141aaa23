//! Any bytes as a str object's characters, and as a line table of any version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::unwind::python::{Version, code, lines};

fuzz_target!(|bytes: &[u8]| {
    let [width, minor, offset, rest @ ..] = bytes else { return };
    code::text(rest, u32::from(*width));
    lines::line(Version(0x0300 | u32::from(*minor % 16)), rest, 1, u64::from(*offset) * 2);
});
