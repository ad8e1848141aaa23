use proptest::prelude::*;

use super::*;

fn example() -> Profile {
    let kind = |kind: &str, unit: &str| ValueType { kind: kind.into(), unit: unit.into() };
    Profile {
        types: vec![kind("samples", "count"), kind("cpu", "nanoseconds")],
        shown: "cpu".into(),
        functions: vec![
            Function { name: "main.work".into(), file: "/src/main.go".into(), first_line: 10 },
            Function { name: "main.main".into(), file: "/src/main.go".into(), first_line: 30 },
        ],
        locations: vec![Location { lines: vec![(0, 12)] }, Location { lines: vec![(0, 14), (1, 33)] }],
        samples: vec![
            Sample { locations: vec![0, 1], values: vec![3, 30_000_000], labels: vec![("thread".into(), "7".into())] },
            Sample { locations: vec![1], values: vec![1, -5], labels: vec![] },
        ],
        period: Some((kind("cpu", "nanoseconds"), 10_000_000)),
        time_ns: 1_700_000_000_000_000_000,
        duration_ns: 2_000_000_000,
        program: "/srv/server".into(),
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&write(&example())), Ok(example()));
    assert_eq!(read(&packed(&write(&example()))), Ok(example()));
}

/// By hand, as the description of the format says: numbers one by one instead of packed, strings last.
#[test]
fn numbers_may_come_one_by_one() {
    let bytes = [
        &[0x0a, 4, 0x08, 1, 0x10, 2][..],       // sample_type: "cpu" in "ns"
        &[0x12, 6, 0x08, 9, 0x10, 5, 0x08, 77], // sample: location 9, value 5, and a location that is none
        &[0x22, 6, 0x08, 9, 0x22, 2, 0x08, 4],  // location 9: function 4
        &[0x2a, 4, 0x08, 4, 0x10, 3],           // function 4: "f"
        &[0x32, 0, 0x32, 3, b'c', b'p', b'u', 0x32, 2, b'n', b's', 0x32, 1, b'f'],
        &[0x39, 1, 2, 3, 4, 5, 6, 7, 8], // of a later version
    ]
    .concat();
    let profile = read(&bytes).unwrap();
    assert_eq!(profile.types, [ValueType { kind: "cpu".into(), unit: "ns".into() }]);
    assert_eq!(profile.samples, [Sample { locations: vec![0], values: vec![5], labels: vec![] }]);
    assert_eq!(profile.locations, [Location { lines: vec![(0, 0)] }]);
    assert_eq!(profile.functions[0].name, "f");
}

#[test]
fn what_is_none_is_refused() {
    assert_eq!(read(b""), Err(NotAProfile::NoTypes));
    assert_eq!(read(b"404 page not found\n"), Err(NotAProfile::Malformed));
    assert_eq!(read(b"\x1f\x8bnot gzip"), Err(NotAProfile::Gzip));
    let bytes = write(&example());
    assert_eq!(read(&bytes[..bytes.len() - 1]), Err(NotAProfile::Malformed));
    // An empty string costs two bytes: more of them than messages are read.
    assert_eq!(read(&[0x32, 0].repeat((1 << 20) + 1)), Err(NotAProfile::TooLarge));
}

/// Each of few bytes, all of the same long name: a gzip stream of some kilobytes.
#[test]
fn names_that_grow_beyond_their_bytes_are_refused() {
    let mut bytes = vec![0x0a, 0, 0x32, 0x80, 0x20];
    bytes.resize(bytes.len() + 4096, b'a');
    bytes.extend([0x2a, 2, 0x20, 0].repeat((64 << 20) / 4096 + 1));
    assert_eq!(read(&bytes), Err(NotAProfile::TooLarge));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    /// A profile with one byte changed is another one or none, and all its indices hold.
    #[test]
    fn indices_hold(at in 0_usize..300, byte: u8) {
        let mut bytes = write(&example());
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(profile) = read(&bytes) {
            for sample in &profile.samples {
                prop_assert_eq!(sample.values.len(), profile.types.len());
                prop_assert!(sample.locations.iter().all(|index| (*index as usize) < profile.locations.len()));
            }
            for location in &profile.locations {
                prop_assert!(location.lines.iter().all(|(index, _)| (*index as usize) < profile.functions.len()));
            }
        }
    }
}
