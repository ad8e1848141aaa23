//! A code object's bytes as the kernel sent them → its names and line table. Total on any bytes.

use perfmap_common::PythonCode;

/// Most characters of one name that are kept.
const NAME_CHARACTERS: usize = 512;

/// A code object as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCode<'a> {
    pub name: String,
    pub file: String,
    pub first_line: u32,
    /// At most what the kernel copied.
    pub table: &'a [u8],
}

/// `variable` is what follows the record: name, file name, table. None: fewer bytes than the record says.
pub fn decode<'a>(record: &PythonCode, variable: &'a [u8]) -> Option<SentCode<'a>> {
    let (name, rest) = variable.split_at_checked(record.name_bytes as usize)?;
    let (file, rest) = rest.split_at_checked(record.file_bytes as usize)?;
    let table = rest.get(..record.table_bytes as usize)?;
    Some(SentCode {
        name: text(name, record.name_width),
        file: text(file, record.file_width),
        first_line: record.first_line,
        table,
    })
}

/// A str's characters, which are 1, 2 or 4 bytes wide: Latin-1, UCS-2 (lone surrogates possible), UCS-4. A cut
/// character at the end is left out.
pub fn text(bytes: &[u8], width: u32) -> String {
    let character = |value: u32| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    match width {
        1 => bytes.iter().take(NAME_CHARACTERS).map(|byte| char::from(*byte)).collect(),
        2 => bytes
            .as_chunks()
            .0
            .iter()
            .take(NAME_CHARACTERS)
            .map(|pair| character(u16::from_le_bytes(*pair).into()))
            .collect(),
        4 => {
            bytes.as_chunks().0.iter().take(NAME_CHARACTERS).map(|four| character(u32::from_le_bytes(*four))).collect()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perfmap_common::Plain;
    use proptest::prelude::*;

    #[test]
    fn all_widths() {
        assert_eq!(text(b"caf\xe9", 1), "café");
        assert_eq!(text(&[0x42, 0x30, 0x00, 0xd8, 0x41], 2), "あ\u{fffd}");
        assert_eq!(text(&0x1f40du32.to_le_bytes(), 4), "🐍");
        assert_eq!(text(b"abc", 3), "");
    }

    proptest! {
        #[test]
        fn any_record_decodes(head in proptest::array::uniform32(any::<u8>()), lengths in proptest::array::uniform3(0u32..40),
                              widths in proptest::array::uniform2(0u32..6), variable in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = [0; 72];
            bytes[..32].copy_from_slice(&head);
            let mut record = PythonCode::read(&bytes).unwrap();
            [record.name_bytes, record.file_bytes, record.table_bytes] = lengths;
            [record.name_width, record.file_width] = widths;
            let whole = lengths.iter().sum::<u32>() as usize <= variable.len();
            prop_assert_eq!(decode(&record, &variable).is_some(), whole);
        }
    }
}
