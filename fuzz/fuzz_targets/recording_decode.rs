//! A recording file of any bytes is refused, or is consistent enough for the stages behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{correlate::flows, recording::file};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(recording) = file::decode(bytes) {
        flows::flows(&recording);
        let again = file::encode(&recording).expect("what was decoded encodes");
        assert_eq!(file::decode(&again).as_ref(), Ok(&recording));
    }
});
