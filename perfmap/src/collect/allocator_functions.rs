//! An ELF file → the functions of a memory allocator in it, and what each does with which argument.
//!
//! A C library's, an allocator's that takes its place, or one that is linked into a program, also under the names that Rust's
//! crates give it. `operator new` counts only where `malloc` lies beside it: elsewhere it calls that.

use perfmap_common::AllocatorWay;

use super::tls_multi::Point;
use crate::unwind::elf::Look;

/// What comes before the names: nothing, jemalloc's own, the Rust crate's, mimalloc's.
const PREFIXES: [&str; 4] = ["", "je_", "_rjem_", "mi_"];
const FUNCTIONS: [(&str, AllocatorWay); 16] = [
    // The first has to be there.
    ("malloc", AllocatorWay::First),
    ("calloc", AllocatorWay::Product),
    ("realloc", AllocatorWay::Again),
    ("free", AllocatorWay::Frees),
    ("posix_memalign", AllocatorWay::Into),
    ("aligned_alloc", AllocatorWay::Second),
    ("memalign", AllocatorWay::Second),
    ("valloc", AllocatorWay::First),
    ("mallocx", AllocatorWay::First),
    ("rallocx", AllocatorWay::Again),
    ("dallocx", AllocatorWay::Frees),
    ("sdallocx", AllocatorWay::Frees),
    ("zalloc", AllocatorWay::First),
    ("malloc_aligned", AllocatorWay::First),
    ("zalloc_aligned", AllocatorWay::First),
    ("realloc_aligned", AllocatorWay::Again),
];
/// operator new, new[], the same with an alignment, and those that give nullptr; operator delete and delete[].
const OPERATORS: [(&str, AllocatorWay); 12] = [
    ("_Znwm", AllocatorWay::OrThrows),
    ("_Znam", AllocatorWay::OrThrows),
    ("_ZnwmSt11align_val_t", AllocatorWay::OrThrows),
    ("_ZnamSt11align_val_t", AllocatorWay::OrThrows),
    ("_ZnwmRKSt9nothrow_t", AllocatorWay::First),
    ("_ZnamRKSt9nothrow_t", AllocatorWay::First),
    ("_ZdlPv", AllocatorWay::Frees),
    ("_ZdaPv", AllocatorWay::Frees),
    ("_ZdlPvm", AllocatorWay::Frees),
    ("_ZdaPvm", AllocatorWay::Frees),
    ("_ZdlPvSt11align_val_t", AllocatorWay::Frees),
    ("_ZdlPvmSt11align_val_t", AllocatorWay::Frees),
];

/// Entries, with the function's way and number as the cookie; none where there is no allocator in it. Total on any file.
pub fn points(look: &Look) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut add = |address: u64, way: AllocatorWay| {
        let Some(offset) = look.offset_of(address) else { return };
        // One function under several names is probed once.
        if points.iter().all(|point| point.offset != offset) {
            let number = points.len() as u64 & 0xff;
            points.push(Point { offset, cookie: way as u64 | number << 8 });
        }
    };
    for prefix in PREFIXES {
        let names = FUNCTIONS.map(|(name, _)| format!("{prefix}{name}"));
        let found = look.functions(names.each_ref().map(String::as_str));
        let malloc = found[0].is_some();
        for (found, (_, way)) in found.into_iter().zip(FUNCTIONS).filter(|_| malloc) {
            found.into_iter().for_each(|found| add(found.address, way));
        }
        if prefix.is_empty() && malloc {
            let found = look.functions(OPERATORS.map(|(name, _)| name));
            for (found, (_, way)) in found.into_iter().zip(OPERATORS) {
                found.into_iter().for_each(|found| add(found.address, way));
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn of(path: &str) -> Vec<Point> {
        points(&Look::new(&File::open(path).unwrap()).unwrap())
    }

    #[test]
    fn the_c_library_has_them_and_a_program_does_not() {
        assert_eq!(of("/bin/true"), []);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libc."));
        let found = of(libc.unwrap());
        let ways: Vec<u64> = found.iter().map(|point| point.cookie & 0xff).collect();
        for way in [AllocatorWay::First, AllocatorWay::Product, AllocatorWay::Again, AllocatorWay::Frees] {
            assert!(ways.contains(&(way as u64)), "{way:?} of {ways:?}");
        }
        let mut numbers: Vec<u64> = found.iter().map(|point| point.cookie >> 8).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), found.len(), "each has its own number");
    }
}
