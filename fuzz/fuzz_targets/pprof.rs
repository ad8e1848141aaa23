//! Any bytes as a program's own profile, plain or in gzip. What was read is written and read again: it is the same, but for
//! what the limits cut then.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::pprof::{read, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = read(bytes) else { return };
    for location in &profile.locations {
        assert!(location.lines.iter().all(|(function, _)| (*function as usize) < profile.functions.len()));
    }
    for sample in &profile.samples {
        assert!(sample.locations.iter().all(|location| (*location as usize) < profile.locations.len()));
        assert_eq!(sample.values.len(), profile.types.len());
    }
    let again = read(&write(&profile)).expect("what was read is written");
    assert_eq!(again.samples.len(), profile.samples.len());
});
