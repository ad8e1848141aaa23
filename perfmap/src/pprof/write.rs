//! A profile → the bytes of `profile.proto`, not compressed. The same profile gives the same bytes.

use indexmap::IndexSet;

use super::{
    Location, Profile, ValueType,
    wire::{put_bytes, put_number, put_packed},
};

/// The format's table of strings, whose first is the empty one.
struct Strings(IndexSet<String>);

impl Strings {
    fn index(&mut self, text: &str) -> u64 {
        self.0.insert_full(text.to_owned()).0 as u64
    }
}

pub fn write(profile: &Profile) -> Vec<u8> {
    let Profile { types, shown, functions, locations, samples, period, time_ns, duration_ns, program } = profile;
    let mut strings = Strings(IndexSet::from([String::new()]));
    let mut to = Vec::new();
    for kind in types {
        let bytes = value_type(kind, &mut strings);
        put_bytes(&mut to, 1, &bytes);
    }
    for sample in samples {
        let mut bytes = Vec::new();
        put_packed(&mut bytes, 1, sample.locations.iter().map(|index| u64::from(*index) + 1));
        put_packed(&mut bytes, 2, sample.values.iter().map(|value| value.cast_unsigned()));
        for (key, value) in &sample.labels {
            let mut label = Vec::new();
            put_number(&mut label, 1, strings.index(key));
            put_number(&mut label, 2, strings.index(value));
            put_bytes(&mut bytes, 3, &label);
        }
        put_bytes(&mut to, 2, &bytes);
    }
    if !program.is_empty() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, 1, 1);
        put_number(&mut bytes, 5, strings.index(program));
        put_bytes(&mut to, 3, &bytes);
    }
    for (index, Location { lines }) in locations.iter().enumerate() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, 1, index as u64 + 1);
        for (function, line) in lines {
            let mut inside = Vec::new();
            put_number(&mut inside, 1, u64::from(*function) + 1);
            put_number(&mut inside, 2, u64::from(*line));
            put_bytes(&mut bytes, 4, &inside);
        }
        put_bytes(&mut to, 4, &bytes);
    }
    for (index, function) in functions.iter().enumerate() {
        let mut bytes = Vec::new();
        put_number(&mut bytes, 1, index as u64 + 1);
        let name = strings.index(&function.name);
        put_number(&mut bytes, 2, name);
        put_number(&mut bytes, 3, name);
        put_number(&mut bytes, 4, strings.index(&function.file));
        put_number(&mut bytes, 5, function.first_line.into());
        put_bytes(&mut to, 5, &bytes);
    }
    put_number(&mut to, 9, time_ns.cast_unsigned());
    put_number(&mut to, 10, duration_ns.cast_unsigned());
    if let Some((kind, every)) = period {
        let bytes = value_type(kind, &mut strings);
        put_bytes(&mut to, 11, &bytes);
        put_number(&mut to, 12, every.cast_unsigned());
    }
    put_number(&mut to, 14, strings.index(shown));
    for text in &strings.0 {
        put_bytes(&mut to, 6, text.as_bytes());
    }
    to
}

fn value_type(kind: &ValueType, strings: &mut Strings) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, 1, strings.index(&kind.kind));
    put_number(&mut bytes, 2, strings.index(&kind.unit));
    bytes
}
