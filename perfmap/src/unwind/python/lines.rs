//! A code object's line table and an instruction → the source line. One decoder per format: 3.8–3.9 (`co_lnotab`),
//! 3.10 (`co_linetable`), 3.11+ (location table). Total on any bytes: a cut or broken table gives None.

use super::layout::Version;

/// Line of the instruction at byte `offset` of the code; None where the table has no line for it.
pub fn line(version: Version, table: &[u8], first_line: u32, offset: u64) -> Option<u32> {
    let line = if version < Version::V3_10 {
        line_by_increments(table, first_line, offset)
    } else if version == Version::V3_10 {
        line_by_deltas(table, first_line, offset)
    } else {
        line_by_locations(table, first_line, offset)
    };
    line.and_then(|line| u32::try_from(line).ok()).filter(|line| *line > 0)
}

/// 3.8, 3.9: pairs of an unsigned address increment and a signed line increment.
fn line_by_increments(table: &[u8], first_line: u32, offset: u64) -> Option<i64> {
    let mut line = i64::from(first_line);
    let mut address = 0;
    for [step, change] in table.as_chunks().0 {
        address += u64::from(*step);
        if address > offset {
            break;
        }
        line += i64::from(change.cast_signed());
    }
    Some(line)
}

/// 3.10: pairs of a length and the line's change before it; -128: no line.
fn line_by_deltas(table: &[u8], first_line: u32, offset: u64) -> Option<i64> {
    let mut line = i64::from(first_line);
    let mut end = 0;
    for [length, change] in table.as_chunks().0 {
        end += u64::from(*length);
        let change = change.cast_signed();
        if change != i8::MIN {
            line += i64::from(change);
        }
        if offset < end {
            return (change != i8::MIN).then_some(line);
        }
    }
    None
}

/// 3.11+: entries of one code unit range each; the first byte holds kind and length.
fn line_by_locations(table: &[u8], first_line: u32, offset: u64) -> Option<i64> {
    const UNIT: u64 = 2;
    let mut bytes = table.iter().copied();
    let mut line = i64::from(first_line);
    let mut end = 0;
    while let Some(head) = bytes.next() {
        end += (u64::from(head & 7) + 1) * UNIT;
        let mut has_line = true;
        match (head >> 3) & 15 {
            // Short forms: the same line, one byte of columns.
            0..=9 => skip(&mut bytes, 1),
            // One-line forms: 0 to 2 lines further, two bytes of columns.
            kind @ 10..=12 => {
                line += i64::from(kind - 10);
                skip(&mut bytes, 2);
            }
            13 => line += signed(&mut bytes)?,
            14 => {
                line += signed(&mut bytes)?;
                for _ in 0..3 {
                    unsigned(&mut bytes)?;
                }
            }
            _ => has_line = false,
        }
        if offset < end {
            return has_line.then_some(line);
        }
    }
    None
}

fn skip(bytes: &mut impl Iterator<Item = u8>, count: usize) {
    for _ in bytes.take(count) {}
}

/// Six bits a byte, least first; bit 6 says that another follows.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let mut value = 0u64;
    for shift in (0..36).step_by(6) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 63) << shift;
        if byte & 64 == 0 {
            return u32::try_from(value).ok();
        }
    }
    None
}

/// The lowest bit is the sign.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let value = unsigned(bytes)?;
    let magnitude = i64::from(value >> 1);
    Some(if value & 1 == 1 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each installed CPython compiles a module with all kinds of lines and tells what it thinks of each instruction.
    const SCRIPT: &str = r#"
import dis, sys
source = "\n" * 300 + '''
def outer(a,
          b=1):
    # a gap
    try:
        for x in (
            a,
            b,
        ):
            y = [z
                 for z in range(x)
                 if z]
    except ValueError as e:
        raise KeyError(
            e) from None
    finally:
        print("done",
              a,


              b)
''' + "\n" * 700 + '''
    with open(a) as f, open(b) as g:
        lambda q: (q
            + 1)
    return {"a": 1,
            "b": outer}
class C:
    @property
    def f(self): return 1
async def g():
    async for x in y: await x
    yield 1
'''
def walk(code):
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    lines = {}
    if hasattr(code, "co_lines"):
        for start, end, line in code.co_lines():
            for i in range(start, end, 2): lines[i] = line or 0
    else:
        starts = dict(dis.findlinestarts(code)); line = code.co_firstlineno
        for i in range(0, len(code.co_code), 2):
            line = starts.get(i, line); lines[i] = line
    print(code.co_firstlineno, table.hex() or "-", ",".join(str(lines.get(i, 0)) for i in range(0, len(code.co_code), 2)))
    for c in code.co_consts:
        if hasattr(c, "co_code"): walk(c)
walk(compile(source, "x.py", "exec"))
"#;

    #[test]
    fn agrees_with_the_interpreters_themselves() {
        let mut compared = 0;
        for minor in 8..=13 {
            let version = Version::of(3, minor);
            let Some(python) = crate::unwind::python::installed(version) else {
                eprintln!("skipped: no CPython {version} installed");
                continue;
            };
            let output = std::process::Command::new(python).args(["-c", SCRIPT]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for row in String::from_utf8(output.stdout).unwrap().lines() {
                let [first, table, lines] = row.split(' ').collect::<Vec<_>>().try_into().unwrap();
                let table: Vec<u8> = match table {
                    "-" => Vec::new(),
                    table => (0..table.len() / 2)
                        .map(|at| u8::from_str_radix(&table[at * 2..at * 2 + 2], 16).unwrap())
                        .collect(),
                };
                for (at, expected) in lines.split(',').enumerate() {
                    let found = line(version, &table, first.parse().unwrap(), at as u64 * 2);
                    assert_eq!(found.unwrap_or(0).to_string(), expected, "{version} unit {at} of the code at {first}");
                    compared += 1;
                }
            }
        }
        eprintln!("{compared} instructions compared");
    }

    #[test]
    fn known_tables() {
        // def f():\n  a\n  b — as 3.8, 3.10 and 3.11 write it.
        assert_eq!(line(Version::of(3, 8), &[0, 1, 4, 1], 5, 0), Some(6));
        assert_eq!(line(Version::of(3, 8), &[0, 1, 4, 1], 5, 4), Some(7));
        assert_eq!(line(Version::V3_10, &[4, 1, 4, 1], 5, 2), Some(6));
        assert_eq!(line(Version::V3_10, &[4, 1, 4, 0x80], 5, 6), None);
        assert_eq!(line(Version::V3_11, &[0x80, 0, 0xd8, 4, 5, 0xf9], 5, 2), Some(6));
        assert_eq!(line(Version::V3_11, &[0x80, 0, 0xd8, 4, 5, 0xf9], 5, 4), None);
    }

    proptest! {
        #[test]
        fn any_table_is_read(table in proptest::collection::vec(any::<u8>(), 0..200), first: u32, offset: u64) {
            for minor in 8..=13 {
                line(Version::of(3, minor), &table, first, offset);
            }
        }
    }
}
