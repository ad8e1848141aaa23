//! The Huffman code of header strings (RFC 7541, appendix B) → their bytes. The code is canonical: within a length,
//! codes ascend with the symbols, so the lengths alone say all of it.

/// By symbol; the last one is the end of string, which no string may contain.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const LONGEST: usize = 30;
/// Bits behind the last symbol: fewer than a byte, all ones.
const MOST_PADDING: u32 = 7;

struct Code {
    /// By length: the first code of it, how many there are, and where their symbols begin in `order`.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    start: [usize; LONGEST + 1],
    /// Symbols by length, then by value.
    order: [u16; LENGTHS.len()],
}

const CODE: Code = code();

const fn code() -> Code {
    let mut code =
        Code { first: [0; LONGEST + 1], count: [0; LONGEST + 1], start: [0; LONGEST + 1], order: [0; LENGTHS.len()] };
    let (mut length, mut next, mut place) = (1, 0_u32, 0);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.start[length] = place;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.order[place] = symbol as u16;
                place += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.count[length] = next - code.first[length];
        length += 1;
    }
    code
}

/// The first bytes of a string, up to `most`. None: it is not one.
pub(super) fn decode(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let (mut bits, mut length) = (0_u32, 0);
    for byte in bytes {
        for place in (0..8).rev() {
            if decoded.len() >= most {
                return Some(decoded);
            }
            bits = bits << 1 | u32::from(byte >> place & 1);
            length += 1;
            let within = bits.wrapping_sub(*CODE.first.get(length)?);
            if within < CODE.count[length] {
                let symbol = CODE.order[CODE.start[length] + within as usize];
                decoded.push(u8::try_from(symbol).ok()?);
                (bits, length) = (0, 0);
            }
        }
    }
    let padding = length as u32;
    (padding <= MOST_PADDING && bits + 1 == 1 << padding).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.4 and C.6.
    #[test]
    fn strings_of_the_specification() {
        let cases: [(&[u8], &str); 5] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(decode(bytes, 99).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(decode(cases[0].0, 3).as_deref(), Some(b"www".as_slice()));
    }

    #[test]
    fn a_complete_code() {
        // Kraft: the lengths fill the tree, so that every path ends in a symbol.
        let sum: u64 = LENGTHS.iter().map(|length| 1 << (LONGEST - usize::from(*length))).sum();
        assert_eq!(sum, 1 << LONGEST);
    }

    #[test]
    fn what_is_no_string() {
        assert_eq!(decode(&[0x07], 99).as_deref(), Some(b"0".as_slice()));
        // Padding of zeros, of more than seven bits, and the end of string itself.
        for bytes in [&[0x00][..], &[0x07, 0xff], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(decode(bytes, 99), None, "{bytes:x?}");
        }
    }
}
