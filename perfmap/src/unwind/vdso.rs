//! The vdso's bytes, read from our own process: every process of one word size has the same.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::spaces::parse_maps;

/// It is two pages today.
const LIMIT: u64 = 1 << 20;

pub fn image() -> Option<Vec<u8>> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    let mapping = parse_maps(&maps).into_iter().find(|mapping| mapping.path == "[vdso]")?;
    let mut bytes = vec![0; usize::try_from(mapping.length.min(LIMIT)).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, mapping.start).ok()?;
    Some(bytes)
}
