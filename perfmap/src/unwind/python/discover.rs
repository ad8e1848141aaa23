//! A process → whether it is a CPython that can be walked, and where its structures lie.
//!
//! The version comes from the file itself (`Py_Version`, or which functions it exports), never from a file's name: a
//! renamed or statically linked interpreter is found all the same. What is known of a file is kept by its identity, so
//! that the next process of the same interpreter costs a look at its mappings.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use perfmap_common::PythonLayout;
use rustc_hash::FxHashMap;

use super::layout::{self, Refusal, Version};
use crate::unwind::elf::{Look, Segment};
use crate::unwind::open::{Sought, in_root_of, mapped_file};
use crate::unwind::spaces::parse_all_maps;

/// Most bytes of one `/proc/PID/maps`.
const MAPS_LIMIT: u64 = 32 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    NotPython,
    /// Its interpreter is in a library that is not mapped yet: look again when one is (see [`worth_a_look`]).
    NotYet,
    Found(PythonLayout),
    /// A Python whose frames can not be walked, and why.
    Refused(Refusal),
}

/// What is known of one file, the same in every process.
#[derive(Debug, Clone)]
enum Program {
    /// No interpreter in it; true: it asks the loader for libpython.
    None {
        needs_libpython: bool,
    },
    Interpreter {
        version: Version,
        runtime: u64,
        segments: Vec<Segment>,
    },
    Refused(Refusal),
}

/// Finds interpreters. Remembers files, not processes.
#[derive(Debug, Default)]
pub struct Discoverer {
    programs: FxHashMap<(u64, u64, i64), Program>,
}

/// Whether a newly mapped file may turn [`Discovery::NotYet`] (or `NotPython`, where a program loads its interpreter
/// late) into an answer.
pub fn worth_a_look(path: &str) -> bool {
    file_name(path).starts_with("libpython")
}

impl Discoverer {
    pub fn discover(&mut self, pid: u32) -> Discovery {
        let mut text = Vec::new();
        let read =
            File::open(format!("/proc/{pid}/maps")).and_then(|file| file.take(MAPS_LIMIT).read_to_end(&mut text));
        if read.is_err() {
            return Discovery::NotPython;
        }
        let mappings = parse_all_maps(&text);
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let executable = executable.as_ref().and_then(|path| path.to_str()).unwrap_or_default();
        let mut expected = file_name(executable).starts_with("python");
        let is_mapped = |name: &str| mappings.iter().any(|mapping| file_name(&mapping.path).starts_with(name));
        if is_mapped("ld-musl") {
            let python = mappings.iter().any(|mapping| worth_a_look(&mapping.path)) || expected;
            return if python { Discovery::Refused(Refusal::Musl) } else { Discovery::NotPython };
        }
        let mut looked: Vec<&str> = Vec::new();
        for mapping in &mappings {
            let path = mapping.path.as_str();
            if looked.contains(&path) || !(path == executable || worth_a_look(path)) {
                continue;
            }
            looked.push(path);
            let end = mapping.start.saturating_add(mapping.length);
            let sought = Sought { pid, start: mapping.start, end };
            let Some(file) = mapped_file(sought).or_else(|| in_root_of(pid, path)) else { continue };
            match self.program(&file) {
                Program::None { needs_libpython } => expected |= *needs_libpython,
                Program::Refused(reason) => return Discovery::Refused(reason.clone()),
                Program::Interpreter { version, runtime, segments } => {
                    let Some(bias) = bias(segments, mapping.start, mapping.file_offset) else { continue };
                    // glibc's loader maps the library before anything of Python's runs.
                    if !is_mapped("libc.so.6") && !is_mapped("libc-2.") {
                        // The program without its loader's work done yet, or without one.
                        let is_dynamic = is_mapped("ld-linux") || is_mapped("ld-2.");
                        return if is_dynamic { Discovery::NotYet } else { Discovery::Refused(Refusal::StaticLibc) };
                    }
                    return match layout::layout(*version, runtime.wrapping_add(bias)) {
                        Some(layout) => Discovery::Found(layout),
                        None => Discovery::Refused(Refusal::Unknown(*version)),
                    };
                }
            }
        }
        if expected { Discovery::NotYet } else { Discovery::NotPython }
    }

    fn program(&mut self, file: &File) -> &Program {
        let identity = file.metadata().map(|metadata| (metadata.dev(), metadata.ino(), metadata.ctime()));
        self.programs.entry(identity.unwrap_or_default()).or_insert_with(|| examine(file))
    }
}

fn bias(segments: &[Segment], start: u64, file_offset: u64) -> Option<u64> {
    let segment =
        segments.iter().find(|segment| segment.file.start & !0xfff <= file_offset && file_offset < segment.file.end)?;
    Some(start.wrapping_sub(file_offset).wrapping_add(segment.file.start).wrapping_sub(segment.address))
}

fn examine(file: &File) -> Program {
    let Ok(look) = Look::new(file) else { return Program::None { needs_libpython: false } };
    let names = [
        "_PyRuntime",
        "Py_Version",
        // Since 3.10, 3.9, 3.8.
        "PyModule_AddObjectRef",
        "PyFrame_GetBack",
        "PyCode_NewWithPosOnlyArgs",
        // Debug builds up to 3.11, and from 3.9.
        "_Py_RefTotal",
        "_Py_NegativeRefcount",
        // Builds without GIL.
        "_Py_DecRefShared",
    ];
    let Ok([runtime, stated, since_310, since_39, since_38, debug, negative, shared]) = look.symbols(names) else {
        return Program::None { needs_libpython: false };
    };
    let Some(runtime) = runtime else {
        return Program::None { needs_libpython: look.needs_library("libpython") };
    };
    if debug.or(negative).is_some() {
        return Program::Refused(Refusal::Debug);
    }
    if shared.is_some() {
        return Program::Refused(Refusal::FreeThreaded);
    }
    let version = match stated {
        Some(stated) => {
            let value = look.bytes_at(stated.address, 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            match value.map(u64::from_le_bytes).and_then(|value| u32::try_from(value >> 16).ok()) {
                Some(version) => Version(version),
                None => return Program::Refused(Refusal::NoVersion),
            }
        }
        None if since_310.is_some() => Version::V3_10,
        None if since_39.is_some() => Version::of(3, 9),
        None if since_38.is_some() => Version::of(3, 8),
        None => return Program::Refused(Refusal::Old),
    };
    let Some(known) = layout::layout(version, runtime.address) else {
        return Program::Refused(Refusal::Unknown(version));
    };
    if version >= Version::V3_13 {
        let description = look.bytes_at(runtime.address, layout::DEBUG_OFFSETS_BYTES).unwrap_or_default();
        if let Err(reason) = layout::agrees(&known, &description) {
            return Program::Refused(reason);
        }
    }
    Program::Interpreter { version, runtime: runtime.address, segments: look.segments() }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_not_python() {
        assert_eq!(Discoverer::default().discover(std::process::id()), Discovery::NotPython);
        assert_eq!(Discoverer::default().discover(u32::MAX), Discovery::NotPython);
    }

    #[test]
    fn versions_come_from_the_files() {
        for minor in 7..=13 {
            let version = Version::of(3, minor);
            let Some(python) = super::super::installed(version) else { continue };
            let flags = if minor == 7 { "m" } else { "" };
            let library = python.parent().unwrap().join(format!("../lib/libpython{version}{flags}.so.1.0"));
            let file = File::open(&library).or_else(|_| File::open(&python)).unwrap();
            match examine(&file) {
                Program::Interpreter { version: found, .. } => assert_eq!(found, version),
                Program::Refused(_) => assert_eq!(minor, 7),
                Program::None { .. } => panic!("no interpreter in {library:?}"),
            }
        }
    }
}
