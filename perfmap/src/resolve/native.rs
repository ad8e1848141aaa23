//! Native frames → function names, source lines and inlined functions, from the files that were kept open while the
//! target ran. The one part of this room that reads files; it fills `Recording::symbols`, and the rest is pure.
//!
//! Two passes: names for all frames, which is cheap; debug information, which costs fifty times as much, only for the
//! frames in the project's own programs, the only ones that are shown by line.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Reason, Sym, Symbolized, Symbolizer};

use super::{go, java_sources, project::is_project_program};
use crate::recording::{Frame, ModuleId, Recording, Symbol, SymbolFunction, Unnamed};
use crate::unwind::elf::{is_stripped, linked_address, read_segments};
use crate::unwind::modules::ModuleFiles;

/// Longer names (C++ templates) are cut.
const NAME_LIMIT: usize = 1024;

/// Fill `recording.symbols`, one for each frame.
pub fn symbolize(recording: &mut Recording, files: &ModuleFiles) {
    let nothing = Symbol { functions: Vec::new(), unnamed: Some(Unnamed::NotLookedUp) };
    let mut symbols = vec![nothing; recording.frames.len()];
    let mut by_module: BTreeMap<ModuleId, Vec<(usize, u64)>> = BTreeMap::new();
    for (at, frame) in recording.frames.iter().enumerate() {
        if let Frame::Native { module, offset } = frame {
            by_module.entry(*module).or_default().push((at, *offset));
        }
    }
    let names_only =
        Symbolizer::builder().enable_auto_reload(false).enable_code_info(false).enable_inlined_fns(false).build();
    let detailed = Symbolizer::builder().enable_auto_reload(false).build();
    for (module, frames) in by_module {
        let file = match files.file(module) {
            Ok(file) => file,
            Err(reason) => {
                for (at, _) in frames {
                    symbols[at].unnamed = Some(reason);
                }
                continue;
            }
        };
        let (path, build_id) = match recording.modules.get(module.0 as usize) {
            Some(module) => (module.path.as_str(), module.build_id.as_str()),
            None => ("", ""),
        };
        let offsets: Vec<u64> = frames.iter().map(|(_, offset)| *offset).collect();
        let own = is_project_program(&recording.meta, path);
        let mut named =
            if own { in_detail(&detailed, file, &offsets) } else { by_name(&names_only, file, build_id, &offsets) };
        go::name(file, &offsets, &mut named, own);
        for ((at, _), symbol) in frames.into_iter().zip(named) {
            symbols[at] = symbol;
        }
    }
    recording.symbols = symbols;
    java_sources::place(recording);
}

/// The kept file, whatever became of its path.
fn source(file: &File, debug_syms: bool) -> Source<'static> {
    let mut elf = Elf::new(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
    elf.debug_syms = debug_syms;
    Source::Elf(elf)
}

/// Names from the file's own symbols; where it is stripped, the others from its debug file if one is installed.
fn by_name(symbolizer: &Symbolizer, file: &File, build_id: &str, offsets: &[u64]) -> Vec<Symbol> {
    let mut symbols = look_up(symbolizer, &source(file, false), Input::FileOffset(offsets));
    let open: Vec<usize> = (0..symbols.len()).filter(|at| symbols[*at].unnamed == Some(Unnamed::NoSymbol)).collect();
    if open.is_empty() || !is_stripped(file) {
        return symbols;
    }
    let Some(debug_file) = debug_file(build_id) else { return symbols };
    let Ok(segments) = read_segments(file) else { return symbols };
    // A debug file has the addresses of the original and none of its bytes. Its symbol table alone is read: to inflate
    // and read libc's debug information costs 60 ms.
    let addresses: Vec<u64> = open.iter().map(|at| linked_address(&segments, offsets[*at]).unwrap_or(0)).collect();
    let mut elf = Elf::new(debug_file);
    elf.debug_syms = false;
    for (at, symbol) in open.into_iter().zip(look_up(symbolizer, &Source::Elf(elf), Input::VirtOffset(&addresses))) {
        if symbol.unnamed.is_none() {
            symbols[at] = symbol;
        }
    }
    symbols
}

/// Where distributions install the symbols that they strip.
fn debug_file(build_id: &str) -> Option<PathBuf> {
    let (head, rest) = build_id.split_at_checked(2)?;
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{head}/{rest}.debug"));
    path.is_file().then_some(path)
}

/// Names, lines, inlined functions and where each function begins.
fn in_detail(symbolizer: &Symbolizer, file: &File, offsets: &[u64]) -> Vec<Symbol> {
    let source = source(file, true);
    let mut symbols = look_up(symbolizer, &source, Input::FileOffset(offsets));
    let Ok(found) = symbolizer.symbolize(&source, Input::FileOffset(offsets)) else { return symbols };
    let starts: Vec<u64> = found.iter().map(|found| found.as_sym().map_or(0, |symbol| symbol.addr)).collect();
    let Ok(begins) = symbolizer.symbolize(&source, Input::VirtOffset(&starts)) else { return symbols };
    for ((symbol, begin), start) in symbols.iter_mut().zip(&begins).zip(starts) {
        let line = begin.as_sym().filter(|begin| begin.addr == start && start != 0);
        let line = line.and_then(|begin| begin.code_info.as_deref()?.line);
        if let Some(function) = symbol.functions.last_mut() {
            function.first_line = line;
        }
    }
    symbols
}

fn look_up(symbolizer: &Symbolizer, source: &Source<'_>, addresses: Input<&[u64]>) -> Vec<Symbol> {
    let count = addresses.as_inner_ref().len();
    match symbolizer.symbolize(source, addresses) {
        Ok(found) => found.into_iter().map(symbol).collect(),
        Err(_) => vec![unnamed(Unnamed::Malformed); count],
    }
}

fn unnamed(reason: Unnamed) -> Symbol {
    Symbol { functions: Vec::new(), unnamed: Some(reason) }
}

fn symbol(found: Symbolized<'_>) -> Symbol {
    match found {
        Symbolized::Sym(symbol) => Symbol { functions: functions(&symbol), unnamed: None },
        Symbolized::Unknown(Reason::IgnoredError) => unnamed(Unnamed::Malformed),
        Symbolized::Unknown(_) => unnamed(Unnamed::NoSymbol),
    }
}

/// Innermost first. The library tells the line in the outermost function and, of each inlined one, the line in it.
fn functions(symbol: &Sym<'_>) -> Vec<SymbolFunction> {
    let outer = std::iter::once((&symbol.name, symbol.code_info.as_deref()));
    let inlined = symbol.inlined.iter().map(|inlined| (&inlined.name, inlined.code_info.as_ref()));
    let mut functions: Vec<_> = outer.chain(inlined).map(|(name, place)| function(name, place)).collect();
    functions.reverse();
    functions
}

fn function(name: &str, place: Option<&CodeInfo<'_>>) -> SymbolFunction {
    let name = name.get(..name.floor_char_boundary(NAME_LIMIT)).unwrap_or(name).to_owned();
    let file = place.map(|place| clean(&place.to_path()));
    SymbolFunction { name, file, line: place.and_then(|place| place.line), first_line: None }
}

/// `/a/src/../b.c` → `/a/b.c`: compilers write what they were given.
fn clean(path: &Path) -> String {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if clean.file_name().is_some() => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean.to_string_lossy().into_owned()
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
