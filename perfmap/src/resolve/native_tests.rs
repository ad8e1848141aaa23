//! Names for the frames of a real stopped process.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::recording::{Frame, FrameId, Recording, Stack, StackEnd, StackId, Unnamed};
use crate::resolve::native::symbolize;
use crate::resolve::resolve;
use crate::unwind::modules::ModuleFiles;
use crate::unwind::native::Unwinder;
use crate::unwind::stopped::Stopped;

/// A recording with one stack: the stopped program's.
fn recording(stopped: &Stopped) -> (Recording, ModuleFiles) {
    let mut unwinder = Unwinder::default();
    unwinder.read_from_proc(stopped.pid());
    let (frames, end) = unwinder.walk(stopped.pid(), &stopped.registers, &stopped.stack);
    assert_eq!(end, StackEnd::Complete);
    let (modules, files) = unwinder.into_modules().into_parts();
    let native = (0..frames.len() as u32).map(FrameId).collect();
    let stacks = vec![Stack { kernel: Box::default(), native, python: Box::default(), end }];
    (Recording { frames, modules, stacks, ..Recording::default() }, files)
}

const PROGRAM: &str = r#"#include <stdio.h>
#include <unistd.h>
static volatile int sink;

static inline __attribute__((always_inline)) void inlined(void) {
    sleep(60);
    sink++;
}

__attribute__((noinline)) void outer(int depth) {
    sink += depth;
    inlined();
    sink--;
}

int main(void) {
    puts("ready");
    fflush(stdout);
    outer(3);
    return sink;
}
"#;

fn compiled(directory: &Path) -> Option<std::path::PathBuf> {
    let (source, program) = (directory.join("program.c"), directory.join("program"));
    std::fs::write(&source, PROGRAM).unwrap();
    let done = Command::new("cc").args(["-O2", "-g", "-fomit-frame-pointer", "-o"]).arg(&program).arg(&source).status();
    done.is_ok_and(|status| status.success()).then_some(program)
}

#[test]
fn names_lines_and_inlined_functions_of_a_deleted_program() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compiled(directory.path()) else {
        eprintln!("skipped: no C compiler");
        return;
    };
    let stopped = Stopped::in_sleep(&mut Command::new(&program));
    let (mut recording, files) = recording(&stopped);
    drop(stopped);
    std::fs::remove_file(&program).unwrap();
    let began = Instant::now();
    symbolize(&mut recording, &files);
    eprintln!("names in {:?}", began.elapsed());
    let names = |recording: &Recording| {
        let resolved = resolve(recording);
        let stack = resolved.stack(StackId(0)).iter().map(|id| resolved.place(*id).clone());
        stack.filter(|place| place.module.as_deref() == program.to_str()).collect::<Vec<_>>()
    };
    let places = names(&recording);
    let functions: Vec<&str> = places.iter().map(|place| place.function.as_str()).collect();
    assert_eq!(functions[..2], ["outer", "main"], "names only: not the project's");
    assert_eq!(places[0].line, None);

    recording.meta.project_roots = vec![directory.path().to_owned()];
    symbolize(&mut recording, &files);
    let places = names(&recording);
    let found: Vec<_> = places.iter().take(3).map(|p| (p.function.as_str(), p.line, p.first_line, p.inlined)).collect();
    assert_eq!(
        found,
        [("inlined", Some(6), None, true), ("outer", Some(12), Some(10), false), ("main", Some(19), Some(16), false)]
    );
    assert_eq!(places[0].file.as_deref(), directory.path().join("program.c").to_str());
}

#[test]
fn what_has_no_name_says_why() {
    let mut recording = Recording::default();
    let mut unwinder = Unwinder::default();
    let us = std::process::id();
    for path in ["/etc/passwd", "/nowhere/x", "//anon", "/bin/true"] {
        let mapping = crate::unwind::spaces::Mapping {
            start: 0x1000 * (recording.frames.len() as u64 + 1),
            length: 0x1000,
            file_offset: 0,
            path: path.to_owned(),
            build_id: None,
        };
        unwinder.mapped(us, &mapping);
        let module = unwinder.spaces().find(us, mapping.start).unwrap().module;
        recording.frames.push(Frame::Native { module, offset: 1 });
    }
    recording.frames.push(Frame::Unmapped { address: 1 });
    let (modules, files) = unwinder.into_modules().into_parts();
    recording.modules = modules;
    symbolize(&mut recording, &files);
    let reasons: Vec<_> = recording.symbols.iter().map(|symbol| symbol.unnamed).collect();
    assert_eq!(
        reasons,
        [Unnamed::Malformed, Unnamed::FileGone, Unnamed::NoFile, Unnamed::NoSymbol, Unnamed::NotLookedUp].map(Some)
    );
}

/// Where the kernel shows it, a stripped library is named from its debug file or says that it has no symbol.
#[test]
fn every_frame_has_a_name_or_a_reason() {
    let stopped = Stopped::in_sleep(Command::new("/bin/sh").args(["-c", "echo ready; exec sleep 60"]));
    let (mut recording, files) = recording(&stopped);
    symbolize(&mut recording, &files);
    assert_eq!(recording.symbols.len(), recording.frames.len());
    for symbol in &recording.symbols {
        assert_eq!(symbol.functions.is_empty(), symbol.unnamed.is_some());
    }
    let named = |wanted: &str| {
        recording.symbols.iter().any(|symbol| symbol.functions.iter().any(|function| function.name.contains(wanted)))
    };
    assert!(named("nanosleep"));
    assert!(named("__libc_start_main"));
}
