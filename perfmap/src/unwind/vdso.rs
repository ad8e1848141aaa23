//! The vdso's bytes, read from our own process: every process of one word size has the same.

use super::spaces::parse_maps;

/// It is two pages today.
const LIMIT: u64 = 1 << 20;

pub fn image() -> Option<Vec<u8>> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    let mapping = parse_maps(&maps).into_iter().find(|mapping| mapping.path == "[vdso]")?;
    let length = usize::try_from(mapping.length.min(LIMIT)).ok()?;
    let start = std::ptr::with_exposed_provenance::<u8>(usize::try_from(mapping.start).ok()?);
    // Not through /proc/self/mem: where perfmap's file has capabilities, that belongs to root.
    // SAFETY: the kernel maps these pages readable at our execve and nobody writes or unmaps them; `length` is the mapping's,
    // or less.
    Some(unsafe { std::slice::from_raw_parts(start, length) }.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_shared_object() {
        assert!(image().expect("a vdso").starts_with(b"\x7fELF"));
    }
}
