//! A recording file of any bytes is refused, or is consistent enough for all the stages behind it. The bytes are taken for
//! a file, and for the content of one, since nothing gets past the checksum by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{
    analyze, correlate,
    map::{self, MapOptions},
    recording::{Recording, file},
    report::{self, MapFormat, Settings},
    resolve,
};

fuzz_target!(|bytes: &[u8]| {
    for file in [Some(bytes.to_vec()), wrapped(bytes)].into_iter().flatten() {
        if let Ok(recording) = file::decode(&file) {
            stages(&recording);
            let again = file::encode(&recording).expect("what was decoded encodes");
            let decoded = file::decode(&again).expect("what was encoded decodes");
            // Bytes are compared: a float that is no number differs from itself.
            assert_eq!(file::encode(&decoded), Ok(again));
        }
    }
});

fn wrapped(content: &[u8]) -> Option<Vec<u8>> {
    let mut file = b"perfmap\n".to_vec();
    file.extend_from_slice(&file::FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&(content.len() as u64).to_le_bytes());
    file.extend(zstd::encode_all(content, 1).ok()?);
    Some(file)
}

fn stages(recording: &Recording) {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    let map = map::build(recording, &resolved, &correlated, &MapOptions::default());
    let analysis = analyze::analyze(recording, &resolved, &correlated, &map);
    let _ = report::render(recording, &resolved, &map, &analysis, &Settings { format: MapFormat::Yaml });
}
