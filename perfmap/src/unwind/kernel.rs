//! `/proc/kallsyms` → the name of a kernel address. Names are kept in one string: 150,000 symbols are about 6 MiB.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use thiserror::Error;

/// Most bytes of kallsyms that are read (here: 8 MiB).
const LIMIT: u64 = 64 << 20;
/// An address further behind a symbol than this is not in it: functions are smaller, and sizes are not told.
const REACH: u64 = 1 << 20;

#[derive(Debug, Error)]
pub enum KernelSymbolsError {
    #[error("could not read /proc/kallsyms: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("/proc/kallsyms shows no addresses to this user (kernel.kptr_restrict)")]
    Hidden,
}

#[derive(Debug, Default)]
pub struct KernelSymbols {
    /// Address and where its name begins; sorted. A name ends where a newline is.
    starts: Vec<(u64, u32)>,
    names: String,
}

impl KernelSymbols {
    pub fn read() -> Result<KernelSymbols, KernelSymbolsError> {
        Self::from_text(BufReader::with_capacity(64 << 10, File::open("/proc/kallsyms")?.take(LIMIT)))
    }

    fn from_text(mut text: impl BufRead) -> Result<KernelSymbols, KernelSymbolsError> {
        let mut symbols = KernelSymbols::default();
        let mut line = Vec::new();
        while text.read_until(b'\n', &mut line)? > 0 {
            if let Some((address, name)) = parse_line(&line)
                && let Ok(at) = u32::try_from(symbols.names.len())
            {
                symbols.starts.push((address, at));
                symbols.names.push_str(name);
                symbols.names.push('\n');
            }
            line.clear();
        }
        if symbols.starts.is_empty() {
            return Err(KernelSymbolsError::Hidden);
        }
        // Stable: of several names for one address the first one stays first.
        symbols.starts.sort_by_key(|(address, _)| *address);
        symbols.starts.dedup_by_key(|(address, _)| *address);
        symbols.starts.shrink_to_fit();
        symbols.names.shrink_to_fit();
        Ok(symbols)
    }

    /// The function that an address lies in. For a return address ask for the byte before it.
    pub fn lookup(&self, address: u64) -> Option<&str> {
        let after = self.starts.partition_point(|(start, _)| *start <= address);
        let (start, at) = *self.starts.get(after.checked_sub(1)?)?;
        if address - start > REACH {
            return None;
        }
        self.names.get(at as usize..)?.lines().next()
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

fn parse_line(line: &[u8]) -> Option<(u64, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    if !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    let address = u64::from_str_radix(address, 16).ok()?;
    (address != 0).then_some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_symbol_before_an_address() {
        let text = b"0000000000000000 A fixed\nffff10 T second\nffff00 t first\nffff08 D data\nffff10 T alias\nx\n";
        let symbols = KernelSymbols::from_text(&text[..]).unwrap();
        assert_eq!(symbols.len(), 2);
        assert_eq!(symbols.lookup(0xffff0f), Some("first"));
        assert_eq!(symbols.lookup(0xffff10), Some("second"));
        assert_eq!(symbols.lookup(0xfffeff), None);
        assert_eq!(symbols.lookup(u64::MAX), None);
    }

    #[test]
    fn hidden_addresses_are_a_reason() {
        let text = b"0000000000000000 T one\n0000000000000000 T two\n";
        assert!(matches!(KernelSymbols::from_text(&text[..]), Err(KernelSymbolsError::Hidden)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(text in proptest::collection::vec(0u8.., 0..300), address in 0u64..) {
            if let Ok(symbols) = KernelSymbols::from_text(&text[..]) {
                let _ = symbols.lookup(address);
            }
        }
    }
}
