//! A CPython version → where the fields of its structures lie (x86-64, release builds with a GIL).
//!
//! The offsets were read from the debug information of the released builds; from 3.13 on the interpreter describes
//! itself (`_Py_DebugOffsets`), and what it says must agree. An unknown version is an answer, never a guess.

use perfmap_common::PythonLayout;

/// Major and minor version, as in `sys.hexversion >> 16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    pub const fn of(major: u32, minor: u32) -> Version {
        Version(major << 8 | minor)
    }
    pub const V3_10: Version = Version::of(3, 10);
    pub const V3_11: Version = Version::of(3, 11);
    pub const V3_12: Version = Version::of(3, 12);
    pub const V3_13: Version = Version::of(3, 13);
    pub const V3_14: Version = Version::of(3, 14);
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0 >> 8, self.0 & 0xff)
    }
}

/// Offset in a code object of its first instruction (`co_code_adaptive`); None before 3.11, where a frame holds an
/// index instead of an address.
pub fn first_instruction(version: Version) -> Option<u64> {
    match version {
        Version::V3_11 => Some(184),
        Version::V3_12 => Some(192),
        Version::V3_13 => Some(200),
        Version::V3_14 => Some(208),
        _ => None,
    }
}

/// Size of a bytes object's header before its bytes: all versions.
pub const BYTES_HEADER: u64 = 32;

/// None: a version whose structures are not known here.
pub fn layout(version: Version, runtime: u64) -> Option<PythonLayout> {
    let old = PythonLayout {
        runtime,
        version: version.0,
        tss_key: 588,
        thread_frame: 24,
        has_cframe: 0,
        cframe_current: 0,
        frame_code: 32,
        frame_back: 24,
        frame_instruction: 104,
        code_file: 104,
        code_name: 112,
        code_first_line: 40,
        code_table: 120,
        str_ascii: 48,
        str_compact: 72,
        thread_pthread: 176,
        frame_owner: 0,
        generator_frame: 0,
        future_coroutine: 0,
    };
    let new = PythonLayout {
        thread_frame: 56,
        has_cframe: 1,
        frame_code: 0,
        frame_back: 8,
        frame_instruction: 56,
        code_file: 112,
        code_name: 128,
        code_first_line: 68,
        code_table: 136,
        thread_pthread: 152,
        frame_owner: 70,
        generator_frame: 72,
        future_coroutine: 136,
        ..old
    };
    Some(match version.0 {
        0x0308 => PythonLayout { tss_key: 1396, ..old },
        0x0309 => old,
        0x030a => PythonLayout { frame_instruction: 96, ..old },
        0x030b => PythonLayout {
            tss_key: 596,
            cframe_current: 8,
            frame_code: 32,
            frame_back: 48,
            code_first_line: 72,
            frame_owner: 69,
            generator_frame: 80,
            ..new
        },
        0x030c => PythonLayout { tss_key: 1548, str_ascii: 40, str_compact: 56, thread_pthread: 136, ..new },
        0x030d => PythonLayout {
            tss_key: 2164,
            thread_frame: 72,
            has_cframe: 0,
            str_ascii: 40,
            str_compact: 56,
            future_coroutine: 120,
            ..new
        },
        0x030e => PythonLayout {
            tss_key: 2340,
            thread_frame: 72,
            has_cframe: 0,
            str_ascii: 40,
            str_compact: 56,
            frame_owner: 74,
            future_coroutine: 128,
            ..new
        },
        _ => return None,
    })
}

/// Bytes of `_Py_DebugOffsets` that [`agrees`] looks at (3.13, 3.14).
pub const DEBUG_OFFSETS_BYTES: usize = WORDS * 8;
const WORDS: usize = 88;

/// Where the interpreter says its own offsets: indices of 8-byte words, names as in pycore_debug_offsets.h.
struct Indices {
    current_frame: usize,
    thread_id: usize,
    previous: usize,
    executable: usize,
    instr_ptr: usize,
    owner: usize,
    filename: usize,
    qualname: usize,
    linetable: usize,
    firstlineno: usize,
    co_code_adaptive: usize,
}

const OF_3_13: Indices = Indices {
    current_frame: 23,
    thread_id: 24,
    previous: 29,
    executable: 30,
    instr_ptr: 31,
    owner: 33,
    filename: 35,
    qualname: 37,
    linetable: 38,
    firstlineno: 39,
    co_code_adaptive: 43,
};

const OF_3_14: Indices = Indices {
    current_frame: 26,
    thread_id: 27,
    previous: 32,
    executable: 33,
    instr_ptr: 34,
    owner: 36,
    filename: 40,
    qualname: 42,
    linetable: 43,
    firstlineno: 44,
    co_code_adaptive: 48,
};

/// Whether the interpreter's own description (3.13 and 3.14, first bytes of `_PyRuntime` as they are in the file) says
/// the same as the table. Err: what differs.
pub fn agrees(layout: &PythonLayout, description: &[u8]) -> Result<(), Refusal> {
    if description.get(..8) != Some(b"xdebugpy") {
        return Err(Refusal::Differs("it does not describe itself where its version does"));
    }
    let word = |index: usize| {
        let bytes = description.get(index * 8..index * 8 + 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    };
    if word(1).map(|version| version >> 16) != Some(u64::from(layout.version)) {
        return Err(Refusal::Differs("its description of itself is of another version"));
    }
    if word(2) != Some(0) {
        return Err(Refusal::FreeThreaded);
    }
    let version = Version(layout.version);
    let at = if version >= Version::V3_14 { OF_3_14 } else { OF_3_13 };
    let expected = [
        (at.current_frame, u64::from(layout.thread_frame)),
        (at.thread_id, layout.thread_pthread.into()),
        (at.previous, layout.frame_back.into()),
        (at.executable, layout.frame_code.into()),
        (at.instr_ptr, layout.frame_instruction.into()),
        (at.owner, layout.frame_owner.into()),
        (at.filename, layout.code_file.into()),
        (at.qualname, layout.code_name.into()),
        (at.linetable, layout.code_table.into()),
        (at.firstlineno, layout.code_first_line.into()),
        (at.co_code_adaptive, first_instruction(version).unwrap_or(0)),
    ];
    match expected.iter().all(|(index, offset)| word(*index) == Some(u64::from(*offset))) {
        true => Ok(()),
        false => Err(Refusal::Differs("its structures are not those of the released version")),
    }
}

/// A Python whose frames cannot be walked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// musl lays out thread-specific data differently, and the walk starts there.
    Musl,
    /// No C library of its own is mapped: which one is linked in is not told.
    StaticLibc,
    Debug,
    FreeThreaded,
    /// 3.7 or older.
    Old,
    NoVersion,
    Unknown(Version),
    Differs(&'static str),
}

impl Refusal {
    /// The py-spy crate knows its structures: it takes those of released builds with a GIL for granted, and finds threads
    /// without the C library.
    pub fn may_be_read_from_outside(&self) -> bool {
        match self {
            Refusal::Musl | Refusal::StaticLibc | Refusal::Old | Refusal::Unknown(_) => true,
            Refusal::Debug | Refusal::FreeThreaded | Refusal::NoVersion | Refusal::Differs(_) => false,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Musl => f.write_str("its C library is musl"),
            Refusal::StaticLibc => f.write_str("its C library is linked in, and not known"),
            Refusal::Debug => f.write_str("a debug build of CPython, whose structures differ"),
            Refusal::FreeThreaded => f.write_str("a free-threaded build of CPython, whose structures differ"),
            Refusal::Old => f.write_str("CPython 3.7 or older"),
            Refusal::NoVersion => f.write_str("its version can not be read from the file"),
            Refusal::Unknown(version) => write!(f, "the structures of CPython {version} are not known"),
            Refusal::Differs(how) => write!(f, "the interpreter is not as released: {how}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_versions_are_not_guessed() {
        for minor in [0, 7, 15, 16] {
            assert_eq!(layout(Version::of(3, minor), 1), None);
        }
        assert_eq!(layout(Version::of(2, 7), 1), None);
        assert_eq!(layout(Version::V3_11, 7).unwrap().runtime, 7);
        assert_eq!(Version::V3_10.to_string(), "3.10");
    }

    /// The words that Debian's build of 3.14.10 says of itself, those that are looked at.
    fn described() -> Vec<u8> {
        let mut words = [0_u64; WORDS];
        words[0] = u64::from_le_bytes(*b"xdebugpy");
        words[1] = 0x030e_0af0;
        for (index, value) in
            [(26, 72), (27, 152), (32, 8), (34, 56), (36, 74), (40, 112), (42, 128), (43, 136), (44, 68), (48, 208)]
        {
            words[index] = value;
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn what_3_14_says_of_itself_is_compared() {
        let known = layout(Version::V3_14, 0).unwrap();
        assert_eq!(agrees(&known, &described()), Ok(()));
        for (word, value, refusal) in [
            (0, 1, Refusal::Differs("it does not describe itself where its version does")),
            (1, 0x030d_0000, Refusal::Differs("its description of itself is of another version")),
            (2, 1, Refusal::FreeThreaded),
            (36, 70, Refusal::Differs("its structures are not those of the released version")),
        ] {
            let mut other = described();
            other[word * 8..word * 8 + 8].copy_from_slice(&u64::to_le_bytes(value));
            assert_eq!(agrees(&known, &other), Err(refusal));
        }
        assert!(agrees(&known, &described()[..80]).is_err());
        assert!(agrees(&layout(Version::V3_13, 0).unwrap(), &described()).is_err());
    }
}
