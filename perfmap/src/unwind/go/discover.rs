//! A process → whether it is a program of Go's whose goroutines can be told, and where they lie.
//!
//! The version comes from the file (its build information), the places of the runtime's own variables from its symbols. A
//! layout that is not known is refused with its reason, never guessed.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use perfmap_common::GoLayout;
use rustc_hash::FxHashMap;

use super::layout::{self, BUILD_INFO, BUILD_INFO_BYTES};
use super::reasons::Reasons;
use crate::unwind::elf::{Look, Segment};
use crate::unwind::native::read_mappings;
use crate::unwind::open::{Sought, in_root_of, mapped_file};

/// The runtime has some forty reasons, of twenty characters.
const MAX_REASONS: u64 = 128;
const MAX_WORDS: u64 = 64;
/// Of a string: address and length.
const STRING: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub layout: GoLayout,
    pub reasons: Reasons,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    NotGo,
    /// The program's own variables are not in their places yet (relocations): look again.
    NotYet,
    Found(Found),
    Refused(String),
}

/// What is known of one file, the same in every process.
#[derive(Debug, Clone)]
enum Program {
    Foreign,
    Go {
        /// Without the addresses' bias.
        layout: GoLayout,
        reasons: (u64, u64),
        segments: Vec<Segment>,
    },
    Refused(String),
}

/// Finds programs of Go's. Remembers files, not processes.
#[derive(Debug, Default)]
pub struct Discoverer {
    programs: FxHashMap<(u64, u64, i64), Program>,
}

impl Discoverer {
    /// Looks at a file before any process runs it: reading one takes longer than a program may need for its first request.
    pub fn know(&mut self, file: &File) {
        if let Ok(metadata) = file.metadata() {
            let identity = (metadata.dev(), metadata.ino(), metadata.ctime());
            self.programs.entry(identity).or_insert_with(|| examine(file));
        }
    }

    pub fn discover(&mut self, pid: u32) -> Discovery {
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let executable = executable.as_ref().and_then(|path| path.to_str()).unwrap_or_default();
        let mappings = read_mappings(pid);
        let Some(mapping) = mappings.iter().find(|mapping| mapping.path == executable) else { return Discovery::NotGo };
        let sought = Sought { pid, start: mapping.start, end: mapping.start.saturating_add(mapping.length) };
        let Some(file) = mapped_file(sought).or_else(|| in_root_of(pid, executable)) else { return Discovery::NotGo };
        let identity = file.metadata().map(|metadata| (metadata.dev(), metadata.ino(), metadata.ctime()));
        let program = self.programs.entry(identity.unwrap_or_default()).or_insert_with(|| examine(&file));
        match program {
            Program::Foreign => Discovery::NotGo,
            Program::Refused(why) => Discovery::Refused(why.clone()),
            Program::Go { layout, reasons: (at, size), segments } => {
                let segment = segments.iter().find(|segment| {
                    segment.file.start & !0xfff <= mapping.file_offset && mapping.file_offset < segment.file.end
                });
                let Some(segment) = segment else { return Discovery::NotGo };
                let bias = mapping
                    .start
                    .wrapping_sub(mapping.file_offset)
                    .wrapping_add(segment.file.start)
                    .wrapping_sub(segment.address);
                let layout = GoLayout { goroutines: layout.goroutines.wrapping_add(bias), ..*layout };
                let Some(reasons) = read_reasons(pid, at.wrapping_add(bias), *size) else { return Discovery::NotYet };
                if reasons.are_plausible() { Discovery::Found(Found { layout, reasons }) } else { Discovery::NotYet }
            }
        }
    }
}

fn examine(file: &File) -> Program {
    let Ok(look) = Look::new(file) else { return Program::Foreign };
    let Some(build_info) = look.section_start(BUILD_INFO, BUILD_INFO_BYTES) else { return Program::Foreign };
    let version = match layout::version(&build_info) {
        None => return Program::Foreign,
        Some(Err(why)) => return Program::Refused(why.to_owned()),
        Some(Ok(version)) => version,
    };
    let Some(offsets) = layout::offsets(version) else {
        return Program::Refused(format!("the goroutines of Go {version} are not known"));
    };
    let [Some(goroutines), Some(reasons)] = look.variables(["runtime.allgs", "runtime.waitReasonStrings"]) else {
        return Program::Refused("it has no symbols".to_owned());
    };
    let Some(thread_local_g) = look.thread_local("runtime.tlsg") else {
        return Program::Refused("where its threads keep their goroutine is not known".to_owned());
    };
    let layout = GoLayout {
        goroutines: goroutines.address,
        thread_local_g,
        g_status: offsets.status,
        g_id: offsets.id,
        g_reason: offsets.reason,
        g_frame: offsets.frame,
        g_runs: offsets.runs,
        m_running: offsets.running,
        ..GoLayout::default()
    };
    Program::Go { layout, reasons: (reasons.address, reasons.size), segments: look.segments() }
}

/// The runtime's words, from the process's memory.
fn read_reasons(pid: u32, at: u64, size: u64) -> Option<Reasons> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let read = |at: u64, size: u64| {
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        memory.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    };
    let table = read(at, size.min(MAX_REASONS * STRING as u64))?;
    let words: Vec<Vec<u8>> = table
        .as_chunks::<STRING>()
        .0
        .iter()
        .map(|string| {
            let word = |at: usize| string[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            read(word(0), word(8).min(MAX_WORDS)).unwrap_or_default()
        })
        .collect();
    Some(Reasons::of(words.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_not_go() {
        assert_eq!(Discoverer::default().discover(std::process::id()), Discovery::NotGo);
        assert_eq!(Discoverer::default().discover(u32::MAX), Discovery::NotGo);
    }
}
