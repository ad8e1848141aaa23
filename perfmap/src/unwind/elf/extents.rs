//! Where a function without a symbol ends: the table of `.eh_frame_hdr`, which is sorted by the functions' first addresses.

use object::{Object, ObjectSection};

use super::{Look, SECTION_LIMIT, parse};

/// Version 1; the frames' address: relative, 4 bytes; the count: 4 bytes; the entries: relative to the section, 4 bytes each.
/// No linker writes another one.
const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const TABLE: usize = 12;
const ENTRY: usize = 8;

impl Look {
    /// Bytes from a function's first address to the next function's. None: no function begins there.
    pub fn extent(&self, address: u64) -> Option<u64> {
        let elf = parse(&self.blocks).ok()?;
        let section = elf.section_by_name(".eh_frame_hdr")?;
        let (offset, size) = section.file_range().filter(|(_, size)| *size <= SECTION_LIMIT)?;
        extent(&self.blocks.read(offset, size).ok()?, section.address(), address)
    }
}

fn extent(table: &[u8], at: u64, address: u64) -> Option<u64> {
    let number = |from: usize| Some(i32::from_le_bytes(table.get(from..from.checked_add(4)?)?.try_into().ok()?));
    if table.get(..4)? != HEAD {
        return None;
    }
    let count = usize::try_from(number(8)?).ok()?.min(table.len().saturating_sub(TABLE) / ENTRY);
    let begin = |entry: usize| at.checked_add_signed(i64::from(number(TABLE + entry * ENTRY)?));
    // The first entry beyond it.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if begin(middle)? <= address { low = middle + 1 } else { high = middle }
    }
    let this = begin(low.checked_sub(1)?)?;
    if this != address || low == count {
        return None;
    }
    begin(low)?.checked_sub(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(begins: &[i32]) -> Vec<u8> {
        let mut bytes = [HEAD.as_slice(), &[0; 4], &(begins.len() as i32).to_le_bytes()].concat();
        begins.iter().for_each(|begin| bytes.extend([begin.to_le_bytes(), [0; 4]].concat()));
        bytes
    }

    #[test]
    fn a_function_ends_where_the_next_one_begins() {
        let table = table(&[-0x100, -0xc0, 0x20]);
        assert_eq!(extent(&table, 0x1000, 0xf00), Some(0x40));
        assert_eq!(extent(&table, 0x1000, 0xf40), Some(0xe0));
        assert_eq!(extent(&table, 0x1000, 0xf41), None, "inside");
        assert_eq!(extent(&table, 0x1000, 0x1020), None, "the last one's end is not known");
        assert_eq!(extent(&table, 0x1000, 0x10), None, "before all");
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_table(mut bytes in proptest::collection::vec(0u8.., 0..200), at in 0u64.., address in 0u64..) {
            extent(&bytes, at, address);
            bytes.splice(0..bytes.len().min(4), HEAD);
            if let Some(size) = extent(&bytes, at, address) {
                proptest::prop_assert!(address.checked_add(size).is_some());
            }
        }
    }
}
