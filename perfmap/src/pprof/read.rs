//! Bytes of `profile.proto`, plain or in gzip → a profile. Messages name each other by ids and strings by index, in any
//! order: they are gathered first and tied afterwards.

use std::{cell::Cell, io::Read};

use flate2::read::GzDecoder;
use rustc_hash::FxHashMap;

use super::{
    Function, Location, Profile, Sample, ValueType,
    wire::{Field, field, varint},
};

/// Of the unpacked profile: one of a large program over minutes has some 10 MB.
const UNPACKED_BYTES: u64 = 32 << 20;
/// Of each kind of message.
const MESSAGES: usize = 1 << 20;
const VALUES: usize = 16;
const FRAMES: usize = 1024;
const LABELS: usize = 16;
const STRING_BYTES: usize = 4096;
/// Of all names together: a message of a few bytes can name a long one that others name too.
const TEXT_BYTES: usize = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAProfile {
    #[error("its gzip stream is broken")]
    Gzip,
    #[error("it is larger than perfmap reads")]
    TooLarge,
    #[error("it is no profile.proto")]
    Malformed,
    #[error("it says no meaning of its values")]
    NoTypes,
}

pub fn read(bytes: &[u8]) -> Result<Profile, NotAProfile> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return parse(bytes);
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).take(UNPACKED_BYTES + 1).read_to_end(&mut unpacked).map_err(|_| NotAProfile::Gzip)?;
    if unpacked.len() as u64 > UNPACKED_BYTES {
        return Err(NotAProfile::TooLarge);
    }
    parse(&unpacked)
}

/// As they lie in the file: ids and indices not looked up yet.
#[derive(Default)]
struct Raw<'a> {
    strings: Vec<&'a [u8]>,
    types: Vec<(u64, u64)>,
    samples: Vec<RawSample>,
    locations: Vec<(u64, Vec<(u64, u32)>)>,
    functions: Vec<(u64, RawFunction)>,
    period_type: Option<(u64, u64)>,
    period: i64,
    time_ns: i64,
    duration_ns: i64,
    program: Option<u64>,
    shown: u64,
}

#[derive(Default)]
struct RawSample {
    locations: Vec<u64>,
    values: Vec<i64>,
    labels: Vec<(u64, u64)>,
}

#[derive(Default)]
struct RawFunction {
    name: u64,
    system_name: u64,
    file: u64,
    first_line: u32,
}

fn parse(mut bytes: &[u8]) -> Result<Profile, NotAProfile> {
    let mut raw = Raw::default();
    while !bytes.is_empty() {
        let (found, rest) = field(bytes).ok_or(NotAProfile::Malformed)?;
        bytes = rest;
        match found {
            Field::Bytes(1, inside) => push(&mut raw.types, pair(inside)?)?,
            Field::Bytes(2, inside) => push(&mut raw.samples, sample(inside)?)?,
            Field::Bytes(3, inside) => raw.program = raw.program.or(Some(file_of_mapping(inside)?)),
            Field::Bytes(4, inside) => push(&mut raw.locations, location(inside)?)?,
            Field::Bytes(5, inside) => push(&mut raw.functions, function(inside)?)?,
            Field::Bytes(6, inside) => push(&mut raw.strings, inside)?,
            Field::Number(9, value) => raw.time_ns = value.cast_signed(),
            Field::Number(10, value) => raw.duration_ns = value.cast_signed(),
            Field::Bytes(11, inside) => raw.period_type = Some(pair(inside)?),
            Field::Number(12, value) => raw.period = value.cast_signed(),
            Field::Number(14, value) => raw.shown = value,
            Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
        }
    }
    tie(raw)
}

fn push<T>(to: &mut Vec<T>, one: T) -> Result<(), NotAProfile> {
    if to.len() >= MESSAGES {
        return Err(NotAProfile::TooLarge);
    }
    to.push(one);
    Ok(())
}

/// Each field of a message.
fn each<'a>(mut bytes: &'a [u8], mut take: impl FnMut(Field<'a>) -> Option<()>) -> Result<(), NotAProfile> {
    while !bytes.is_empty() {
        let (found, rest) = field(bytes).ok_or(NotAProfile::Malformed)?;
        bytes = rest;
        take(found).ok_or(NotAProfile::Malformed)?;
    }
    Ok(())
}

fn pair(bytes: &[u8]) -> Result<(u64, u64), NotAProfile> {
    let mut pair = (0, 0);
    each(bytes, |found| {
        match found {
            Field::Number(1, value) => pair.0 = value,
            Field::Number(2, value) => pair.1 = value,
            Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
        }
        Some(())
    })?;
    Ok(pair)
}

fn file_of_mapping(bytes: &[u8]) -> Result<u64, NotAProfile> {
    let mut file = 0;
    each(bytes, |found| {
        match found {
            Field::Number(5, value) => file = value,
            Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
        }
        Some(())
    })?;
    Ok(file)
}

/// Repeated numbers, packed or one by one.
fn numbers(found: Field<'_>, number: u32, most: usize, to: &mut Vec<u64>) -> Option<()> {
    match found {
        Field::Number(at, value) if at == number => to.push(value),
        Field::Bytes(at, mut packed) if at == number => {
            while !packed.is_empty() && to.len() <= most {
                let (value, rest) = varint(packed)?;
                to.push(value);
                packed = rest;
            }
        }
        Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
    }
    to.truncate(most);
    Some(())
}

fn sample(bytes: &[u8]) -> Result<RawSample, NotAProfile> {
    let (mut locations, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    each(bytes, |found| {
        if let Field::Bytes(3, label) = found
            && labels.len() < LABELS
        {
            labels.push(pair(label).ok()?);
        }
        numbers(found, 1, FRAMES, &mut locations)?;
        numbers(found, 2, VALUES, &mut values)
    })?;
    let values = values.into_iter().map(u64::cast_signed).collect();
    Ok(RawSample { locations, values, labels })
}

fn location(bytes: &[u8]) -> Result<(u64, Vec<(u64, u32)>), NotAProfile> {
    let (mut id, mut lines) = (0, Vec::new());
    each(bytes, |found| {
        match found {
            Field::Number(1, value) => id = value,
            Field::Bytes(4, inside) if lines.len() < FRAMES => {
                let (function, line) = pair(inside).ok()?;
                lines.push((function, u32::try_from(line).unwrap_or(0)));
            }
            Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
        }
        Some(())
    })?;
    Ok((id, lines))
}

fn function(bytes: &[u8]) -> Result<(u64, RawFunction), NotAProfile> {
    let (mut id, mut function) = (0, RawFunction::default());
    each(bytes, |found| {
        match found {
            Field::Number(1, value) => id = value,
            Field::Number(2, value) => function.name = value,
            Field::Number(3, value) => function.system_name = value,
            Field::Number(4, value) => function.file = value,
            Field::Number(5, value) => function.first_line = u32::try_from(value).unwrap_or(0),
            Field::Number(..) | Field::Bytes(..) | Field::Other(_) => {}
        }
        Some(())
    })?;
    Ok((id, function))
}

fn tie(raw: Raw<'_>) -> Result<Profile, NotAProfile> {
    let Raw {
        strings,
        types,
        samples,
        locations,
        functions,
        period_type,
        period,
        time_ns,
        duration_ns,
        program,
        shown,
    } = raw;
    let room = Cell::new(Some(TEXT_BYTES));
    let text = |index: u64| {
        let bytes = usize::try_from(index).ok().and_then(|index| strings.get(index)).copied().unwrap_or_default();
        let bytes = bytes.get(..STRING_BYTES).unwrap_or(bytes);
        // An empty one takes room too.
        room.set(room.get().and_then(|room| room.checked_sub(bytes.len() + size_of::<String>())));
        room.get().map_or(String::new(), |_| String::from_utf8_lossy(bytes).into_owned())
    };
    let value_type = |(kind, unit): (u64, u64)| ValueType { kind: text(kind), unit: text(unit) };
    let types: Vec<ValueType> = types.into_iter().take(VALUES).map(value_type).collect();
    if types.is_empty() {
        return Err(NotAProfile::NoTypes);
    }
    let places = |ids: &mut dyn Iterator<Item = u64>| -> FxHashMap<u64, u32> {
        ids.enumerate().map(|(index, id)| (id, index as u32)).collect()
    };
    let of_function = places(&mut functions.iter().map(|(id, _)| *id));
    let of_location = places(&mut locations.iter().map(|(id, _)| *id));
    let functions = functions.into_iter().map(|(_, RawFunction { name, system_name, file, first_line })| {
        let name = Some(text(name)).filter(|name| !name.is_empty()).unwrap_or_else(|| text(system_name));
        Function { name, file: text(file), first_line }
    });
    let locations = locations.into_iter().map(|(_, lines)| {
        let lines = lines.into_iter().filter_map(|(id, line)| Some((*of_function.get(&id)?, line))).collect();
        Location { lines }
    });
    let count = types.len();
    let samples = samples.into_iter().map(|RawSample { locations, mut values, labels }| {
        values.resize(count, 0);
        let locations = locations.into_iter().filter_map(|id| of_location.get(&id).copied()).collect();
        let labels = labels.into_iter().map(|(key, value)| (text(key), text(value))).collect();
        Sample { locations, values, labels }
    });
    let profile = Profile {
        functions: functions.collect(),
        locations: locations.collect(),
        samples: samples.collect(),
        period: period_type.map(|kind| (value_type(kind), period)),
        shown: text(shown),
        program: program.map(text).unwrap_or_default(),
        types,
        time_ns,
        duration_ns,
    };
    room.get().map(|_| profile).ok_or(NotAProfile::TooLarge)
}
