//! Go's version → offsets in `runtime.g`, from the sources of each release. What is the same in all of them (the bounds of
//! the stack, the stack pointer and instruction to go on with, the goroutine's own address) the kernel side knows by itself,
//! and checks.

use std::fmt;

/// Go 1.minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    pub status: u32,
    pub id: u32,
    pub reason: u32,
    pub frame: u32,
    /// `trackingSeq`: how often it stopped running. 0: not known.
    pub runs: u32,
    /// `m.curg`.
    pub running: u32,
}

/// None: not known. 1.23 added `syscallbp`, 1.25 took `ret` out of `gobuf`.
pub fn offsets(version: Version) -> Option<Offsets> {
    let older = Offsets { status: 144, id: 152, reason: 176, frame: 104, runs: 0, running: 192 };
    match version.0 {
        18 | 20 => Some(older),
        19 => Some(Offsets { runs: 189, ..older }),
        21 => Some(Offsets { runs: 188, ..older }),
        22 => Some(Offsets { runs: 191, ..older }),
        23..=24 => Some(Offsets { status: 152, id: 160, reason: 184, runs: 199, ..older }),
        25..=27 => Some(Offsets { status: 144, id: 152, reason: 176, frame: 96, runs: 191, running: 184 }),
        _ => None,
    }
}

/// What begins the section `.go.buildinfo`: the magic bytes, the size of a pointer, flags; from 1.18 on the version itself
/// lies behind them (flag 2), its length before it.
pub const BUILD_INFO: &str = ".go.buildinfo";
pub const BUILD_INFO_BYTES: usize = 64;
const MAGIC: &[u8] = b"\xff Go buildinf:";
const VERSION_AT: usize = 32;

/// None: no program of Go's.
pub fn version(build_info: &[u8]) -> Option<Result<Version, &'static str>> {
    let rest = build_info.strip_prefix(MAGIC)?;
    if rest.get(1).is_none_or(|flags| flags & 2 == 0) {
        return Some(Err("it was built by Go 1.17 or older"));
    }
    let text = build_info.get(VERSION_AT..).and_then(|at| {
        let (length, text) = at.split_first()?;
        // A length of more than seven bits is no version's.
        text.get(..usize::from(*length).min(text.len())).filter(|_| *length < 128)
    });
    Some(text.and_then(parse).ok_or("its version can not be read from the file"))
}

/// "go1.22.10", "go1.23rc1", "go1.19.8 X:nocoverageredesign".
fn parse(text: &[u8]) -> Option<Version> {
    let minor = text.strip_prefix(b"go1.")?;
    let digits = minor.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(minor.get(..digits)?).ok()?.parse().ok().map(Version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_by(version: &str, flags: u8) -> Vec<u8> {
        let mut bytes = [MAGIC, &[8, flags]].concat();
        bytes.resize(VERSION_AT, 0);
        bytes.push(version.len() as u8);
        bytes.extend(version.as_bytes());
        bytes.resize(BUILD_INFO_BYTES, 0);
        bytes
    }

    #[test]
    fn versions_of_programs() {
        assert_eq!(version(&built_by("go1.19.8", 2)), Some(Ok(Version(19))));
        assert_eq!(version(&built_by("go1.27rc1 X:foo", 2)), Some(Ok(Version(27))));
        assert!(matches!(version(&built_by("go1.17", 0)), Some(Err(_))));
        assert!(matches!(version(&built_by("devel +abcdef", 2)), Some(Err(_))));
        assert_eq!(version(b"\x7fELF"), None);
    }

    #[test]
    fn unknown_layouts_are_none() {
        assert_eq!((offsets(Version(17)), offsets(Version(28))), (None, None));
        assert!((18..=27).all(|minor| offsets(Version(minor)).is_some()));
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_bytes(bytes in proptest::collection::vec(0u8.., 0..80)) {
            let _ = version(&bytes);
            let _ = version(&[MAGIC, &bytes].concat());
        }
    }
}
