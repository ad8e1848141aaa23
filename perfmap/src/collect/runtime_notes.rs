//! Programs of runtimes whose functions have no names in the recording → what would give them, one note for each.
//!
//! Looked at are CPU samples alone: a program that computed next to nothing needs no names.

use std::collections::{BTreeMap, BTreeSet};

use crate::recording::{Event, Frame, ProcessId, Recording};

/// Fewer samples are no reason for a note.
const SAMPLES: u32 = 10;

#[derive(Default)]
struct Of {
    samples: u32,
    /// With a frame in generated code that has a name, or that has none.
    named: u32,
    nameless: u32,
}

pub fn notes(recording: &Recording) -> Vec<String> {
    let mut processes: BTreeMap<ProcessId, Of> = BTreeMap::new();
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        let Some(task) = recording.tasks.get(sample.task.0 as usize) else { continue };
        let Some(stack) = recording.stacks.get(sample.stack.0 as usize) else { continue };
        let of = processes.entry(task.process).or_default();
        let frames = || stack.native.iter().filter_map(|id| recording.frames.get(id.0 as usize));
        of.samples += 1;
        of.named += u32::from(frames().any(|frame| matches!(frame, Frame::Jit { .. })));
        of.nameless += u32::from(frames().any(|frame| matches!(frame, Frame::Unmapped { .. })));
    }
    let mut notes = BTreeSet::new();
    for (id, of) in processes {
        let Some(process) = recording.processes.get(id.0 as usize) else { continue };
        let Some(image) = process.images.last() else { continue };
        if of.samples >= SAMPLES
            && let Some(missing) = missing(&image.executable, &of)
        {
            notes.insert(format!("{} ({}): {missing}", image.comm, process.pid));
        }
    }
    notes.into_iter().collect()
}

/// None: nothing is, as far as can be seen.
fn missing(executable: &str, of: &Of) -> Option<&'static str> {
    let program = executable.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
    match program {
        "node" | "nodejs" if of.named == 0 => Some(
            "its JavaScript functions have no names; it must be started with \
             NODE_OPTIONS=\"--perf-basic-prof --interpreted-frames-native-stack\"",
        ),
        "java" if of.named == 0 => Some(
            "its Java methods have no names; start it with JAVA_TOOL_OPTIONS=-XX:+PreserveFramePointer, and let it write them while \
             it runs: jcmd PID Compiler.perfmap",
        ),
        "dotnet" if of.named == 0 => {
            Some("its .NET methods have no names; it must be started with DOTNET_PerfMapEnabled=1")
        }
        _ if is_ruby(program) => Some(
            "its Ruby methods are not read, the interpreter's own functions stand for them (rbspy is not built in; YJIT \
             from 3.3 on names compiled methods with --yjit-perf)",
        )
        .filter(|_| of.named == 0),
        _ if of.named == 0 && of.nameless * 2 > of.samples => {
            Some("it runs generated code without names: no perf map (/tmp/perf-PID.map) was there")
        }
        _ => None,
    }
}

/// ruby, ruby3.1
fn is_ruby(program: &str) -> bool {
    program.strip_prefix("ruby").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: u32, named: u32, nameless: u32) -> Of {
        Of { samples, named, nameless }
    }

    #[test]
    fn what_is_missing_is_named_by_runtime() {
        let says = |program: &str, of: Of, word: &str| missing(program, &of).is_some_and(|note| note.contains(word));
        assert!(says("/usr/bin/node", of(20, 0, 5), "NODE_OPTIONS"));
        assert!(says("/opt/jdk/bin/java", of(20, 0, 20), "jcmd PID Compiler.perfmap"));
        assert!(says("/usr/bin/dotnet (deleted)", of(20, 0, 20), "DOTNET_PerfMapEnabled"));
        assert!(says("/usr/bin/ruby3.1", of(20, 0, 0), "rbspy"));
        assert!(says("/usr/bin/luajit", of(20, 0, 15), "perf map"));
        for (program, of) in [
            ("/usr/bin/node", of(20, 3, 5)),
            ("/usr/bin/java", of(20, 1, 5)),
            ("/usr/bin/ruby3.3", of(20, 4, 0)),
            ("/usr/bin/rubyist", of(20, 0, 0)),
            ("/usr/bin/luajit", of(20, 0, 5)),
            ("/usr/bin/python3", of(20, 0, 0)),
        ] {
            assert_eq!(missing(program, &of), None, "{program}");
        }
    }
}
