//! Protocol buffers' wire format: fields with a number, each a varint or a length and its bytes.

/// 64-bit varints have at most so many bytes.
const VARINT_BYTES: usize = 10;

/// One field as it lies there. Fixed-width ones are of no message here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
    /// Of another kind: its number alone.
    Other(u32),
}

/// None: the bytes end within, or are no varint. The rest follows it.
pub fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES).enumerate() {
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index == VARINT_BYTES - 1 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// None: no field begins here.
pub fn field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (key, rest) = varint(bytes)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
    match key & 7 {
        0 => varint(rest).map(|(value, rest)| (Field::Number(number, value), rest)),
        1 => Some((Field::Other(number), rest.get(8..)?)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (inside, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((Field::Bytes(number, inside), rest))
        }
        5 => Some((Field::Other(number), rest.get(4..)?)),
        _ => None,
    }
}

pub fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Zero is what a missing field means.
pub fn put_number(to: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_varint(to, u64::from(number) << 3);
        put_varint(to, value);
    }
}

pub fn put_bytes(to: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(to, u64::from(number) << 3 | 2);
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

pub fn put_packed(to: &mut Vec<u8>, number: u32, values: impl Iterator<Item = u64>) {
    let mut packed = Vec::new();
    values.for_each(|value| put_varint(&mut packed, value));
    if !packed.is_empty() {
        put_bytes(to, number, &packed);
    }
}
