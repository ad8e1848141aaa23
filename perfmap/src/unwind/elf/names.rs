//! Names of functions → their symbols, fast enough for every file that a target maps: the names are sought in the string
//! tables, and only where they are there, the symbols are gone through, as numbers.

use object::{Object, ObjectSection};

use super::{Blocks, Elf, Found, Look, SECTION_LIMIT, parse};

/// Places of one name in a string table: it may end longer names.
const MAX_PLACES: usize = 64;
/// sizeof(Elf64_Sym)
const SYMBOL: usize = 24;
const STT_FUNC: u8 = 2;

impl Look {
    /// The functions of these names that the file itself has: from the dynamic symbols; from the full table only where the
    /// first name is not among those.
    pub fn functions<const N: usize>(&self, names: [&str; N]) -> [Option<Found>; N] {
        let Ok(elf) = parse(&self.blocks) else { return [None; N] };
        let dynamic = search(&elf, &self.blocks, [".dynsym", ".dynstr"], &names).unwrap_or([None; N]);
        if dynamic.first().is_some_and(Option::is_some) {
            return dynamic;
        }
        search(&elf, &self.blocks, [".symtab", ".strtab"], &names).unwrap_or([None; N])
    }

    /// The variables of these names, all from the full table.
    pub fn variables<const N: usize>(&self, names: [&str; N]) -> [Option<Found>; N] {
        let mut found = [None; N];
        if let Ok(elf) = parse(&self.blocks) {
            let tell = |which: usize, symbol: Symbol| {
                if !symbol.function && symbol.defined {
                    found[which].get_or_insert(Found { address: symbol.address, size: symbol.size });
                }
            };
            symbols(&elf, &self.blocks, [".symtab", ".strtab"], |strings| exact(strings, &names), tell);
        }
        found
    }

    /// Which of these names the file takes from others.
    pub fn imports<const N: usize>(&self, names: [&str; N]) -> [bool; N] {
        let mut imports = [false; N];
        if let Ok(elf) = parse(&self.blocks) {
            symbols(
                &elf,
                &self.blocks,
                [".dynsym", ".dynstr"],
                |strings| exact(strings, &names),
                |which, symbol| imports[which] |= !symbol.defined,
            );
        }
        imports
    }
}

/// What a mangled name holds, in this order, of one or another way of mangling; hashes lie between.
pub type Mangled<'a> = &'a [&'a [&'a str]];

impl Look {
    /// The functions with mangled names like these, from the full table.
    pub fn mangled<const N: usize>(&self, names: [Mangled<'_>; N]) -> [Option<Found>; N] {
        let mut found = [None; N];
        let Ok(elf) = parse(&self.blocks) else { return found };
        let places = |strings: &[u8]| {
            let names = names.iter().enumerate();
            names.flat_map(|(which, ways)| ways.iter().flat_map(move |parts| like(strings, which, parts))).collect()
        };
        symbols(&elf, &self.blocks, [".symtab", ".strtab"], places, |which, symbol| {
            if symbol.function && symbol.defined {
                found[which].get_or_insert(Found { address: symbol.address, size: symbol.size });
            }
        });
        found
    }
}

struct Symbol {
    address: u64,
    size: u64,
    function: bool,
    defined: bool,
}

/// None: the first name is not there.
fn search<const N: usize>(
    elf: &Elf<'_>,
    blocks: &Blocks,
    tables: [&str; 2],
    names: &[&str; N],
) -> Option<[Option<Found>; N]> {
    let mut found = [None; N];
    symbols(
        elf,
        blocks,
        tables,
        |strings| exact(strings, names),
        |which, Symbol { address, size, function, defined }| {
            if function && defined {
                found[which].get_or_insert(Found { address, size });
            }
        },
    );
    found.first()?.is_some().then_some(found)
}

/// Tells of all symbols whose names lie at one of the places in the string table, by their place among what is sought.
fn symbols(
    elf: &Elf<'_>,
    blocks: &Blocks,
    [symbols, strings]: [&str; 2],
    places: impl FnOnce(&[u8]) -> Vec<(usize, u32)>,
    mut tell: impl FnMut(usize, Symbol),
) {
    let section = |name: &str| {
        let (offset, size) = elf.section_by_name(name)?.file_range()?;
        (size <= SECTION_LIMIT).then(|| blocks.read(offset, size).ok())?
    };
    let Some(strings) = section(strings) else { return };
    let places = places(&strings);
    if places.is_empty() {
        return;
    }
    let Some(table) = section(symbols) else { return };
    for symbol in table.as_chunks::<SYMBOL>().0 {
        let word = |at: usize| symbol[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        // Name, info, other, section; then the value and the size.
        let head = word(0);
        if let Some((which, _)) = places.iter().find(|(_, place)| *place == head as u32) {
            let (function, defined) = ((head >> 32) as u8 & 0xf == STT_FUNC, head >> 48 != 0);
            tell(*which, Symbol { address: word(8), size: word(16), function, defined });
        }
    }
}

fn exact(strings: &[u8], names: &[&str]) -> Vec<(usize, u32)> {
    names.iter().enumerate().flat_map(|(name, text)| places(strings, name, text)).collect()
}

/// Where a string table holds a name's bytes up to their zero.
fn places(strings: &[u8], name: usize, text: &str) -> Vec<(usize, u32)> {
    let ended = [text.as_bytes(), b"\0"].concat();
    let places = memchr::memmem::find_iter(strings, &ended).take(MAX_PLACES);
    places.filter_map(|at| Some((name, u32::try_from(at).ok()?))).collect()
}

/// Where the names begin that hold all parts one after the other.
fn like(strings: &[u8], name: usize, parts: &[&str]) -> Vec<(usize, u32)> {
    let Some((first, rest)) = parts.split_first() else { return Vec::new() };
    let fits = |at: usize| {
        let start = memchr::memrchr(0, strings.get(..at)?)? + 1;
        let mut left = strings.get(at + first.len()..)?;
        left = left.get(..memchr::memchr(0, left)?)?;
        for part in rest {
            let next = memchr::memmem::find(left, part.as_bytes())? + part.len();
            left = left.get(next..)?;
        }
        Some((name, u32::try_from(start).ok()?))
    };
    memchr::memmem::find_iter(strings, first.as_bytes()).take(MAX_PLACES).filter_map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn finds_functions_that_the_file_has() {
        let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = libc
            .lines()
            .find_map(|line| line.split_whitespace().nth(5).filter(|path| path.contains("libc.so")))
            .unwrap();
        let look = Look::new(&File::open(libc).unwrap()).unwrap();
        let [qsort, none, tail] = look.functions(["qsort", "no_such_function", "sort"]);
        assert_eq!(qsort, look.symbols(["qsort"]).unwrap()[0]);
        assert!(qsort.is_some_and(|found| found.size > 0));
        assert_eq!((none, tail), (None, None));
        // Our own program only imports it.
        let own = Look::new(&File::open("/proc/self/exe").unwrap()).unwrap();
        assert_eq!((own.functions(["memcpy"]), own.imports(["memcpy", "SSL_read"])), ([None], [true, false]));
    }

    #[test]
    fn mangled_names_have_hashes_inside() {
        let strings = b"\0_ZN1a1b17h01E\0_RNvC1x_1aNtB_1b\0_ZN1c1b\0cut_1a";
        assert_eq!(like(strings, 2, &["_ZN1a1b17h"]), [(2, 1)]);
        assert_eq!(like(strings, 1, &["_1a", "1b"]), [(1, 15)]);
        assert_eq!(like(strings, 0, &["1b", "1a"]), []);
        let own = Look::new(&File::open("/proc/self/exe").unwrap()).unwrap();
        // Both ways of mangling: which one it is decides the compiler.
        let ways: Mangled<'_> = &[&["mangled_names_have_hashes_inside"]];
        assert!(own.mangled([ways])[0].is_some_and(|found| found.size > 0));
    }

    #[test]
    fn a_name_may_end_another_one() {
        assert_eq!(places(b"\0my_SSL_read\0SSL_read\0SSL_read_ex\0", 3, "SSL_read"), [(3, 4), (3, 13)]);
    }
}
