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
        _ => return None,
    })
}

/// Bytes of `_Py_DebugOffsets` that [`agrees`] looks at (3.13).
pub const DEBUG_OFFSETS_BYTES: usize = WORDS * 8;
const WORDS: usize = 76;

/// Whether the interpreter's own description (3.13, first bytes of `_PyRuntime` as they are in the file) says the same
/// as the table. Err: what differs.
pub fn agrees(layout: &PythonLayout, description: &[u8]) -> Result<(), &'static str> {
    if description.get(..8) != Some(b"xdebugpy") {
        return Err("the interpreter does not describe itself where 3.13 does");
    }
    let word = |index: usize| {
        let bytes = description.get(index * 8..index * 8 + 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    };
    if word(1).map(|version| version >> 16) != Some(u64::from(layout.version)) {
        return Err("the interpreter's description of itself is of another version");
    }
    if word(2) != Some(0) {
        return Err("a free-threaded build, whose structures differ");
    }
    // Indices count 8-byte words of the structure; names as in pycore_runtime.h of 3.13.
    let expected = [
        (23, layout.thread_frame),      // thread_state.current_frame
        (24, layout.thread_pthread),    // thread_state.thread_id
        (29, layout.frame_back),        // interpreter_frame.previous
        (30, layout.frame_code),        // interpreter_frame.executable
        (31, layout.frame_instruction), // interpreter_frame.instr_ptr
        (33, 70),                       // interpreter_frame.owner
        (35, layout.code_file),         // code_object.filename
        (37, layout.code_name),         // code_object.qualname
        (38, layout.code_table),        // code_object.linetable
        (39, layout.code_first_line),   // code_object.firstlineno
        (43, 200),                      // code_object.co_code_adaptive
    ];
    match expected.iter().all(|(index, offset)| word(*index) == Some(u64::from(*offset))) {
        true => Ok(()),
        false => Err("the interpreter's structures are not those of the released version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_versions_are_not_guessed() {
        for minor in [0, 7, 14, 15] {
            assert_eq!(layout(Version::of(3, minor), 1), None);
        }
        assert_eq!(layout(Version::of(2, 7), 1), None);
        assert_eq!(layout(Version::V3_11, 7).unwrap().runtime, 7);
        assert_eq!(Version::V3_10.to_string(), "3.10");
    }
}
