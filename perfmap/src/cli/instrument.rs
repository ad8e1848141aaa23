//! `--allow-instrumentation`: the command runs once more with line_profiler in its Python processes → how long each line of the hot
//! functions took, and how often it ran. It is brought in by the environment alone: a `sitecustomize` in a directory of our own
//! before all others of `PYTHONPATH`, which loads the one that it hides; nothing that is the user's is changed.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    console::Console,
    errors::Failure,
    plan::TracePlan,
    progress::Progress,
    read::read_bounded,
    runner::{Learned, Purpose, Runner},
};
use crate::recording::{Nanos, Recording, TimedFunction, TimedLines};

const HOOK: &str = include_str!("instrument/sitecustomize.py");
/// Of one process; what a program writes there is not ours.
const LARGEST: u64 = 4 << 20;
const MOST_PROCESSES: usize = 256;
const MOST_LINES: usize = 10_000;

pub fn time_lines(
    plan: &TracePlan,
    learned: Learned,
    functions: &[(String, u32)],
    recording: &mut Recording,
    progress: &Progress<'_>,
    console: &Console,
) -> Result<(), Failure> {
    let none = |hindrance: &str| Some(TimedLines { hindrance: Some(hindrance.to_owned()), ..TimedLines::default() });
    if functions.is_empty() {
        console.note("--allow-instrumentation: no Python function is hot, so no line is timed");
        recording.closer.lines = none("no Python function is hot");
        return Ok(());
    }
    progress.again(
        "once more with line_profiler in the Python processes (PYTHONPATH has a directory of perfmap's first; no file is changed)",
    );
    let place = Place::make(plan).map_err(|error| Failure::Input { path: std::env::temp_dir(), error })?;
    let mut with_hook = plan.clone();
    place.hook_into(&mut with_hook.command.environment, functions);
    let mut runner = Runner::new(&with_hook, learned)?;
    let outcome = runner.run(Purpose::Count, console);
    drop(runner);
    recording.closer.lines = match outcome {
        Ok(outcome) if outcome.recording.meta.ending == recording.meta.ending => {
            let found = place.read(plan, functions, outcome.recording.meta.wall);
            if let Some(hindrance) = &found.hindrance {
                console.warning(&format!("no lines are timed: {hindrance}"));
            }
            Some(found)
        }
        Ok(_) => none("the run with it did not end as the one without it"),
        Err(Failure::Interrupted { .. }) => none("the run with it was stopped"),
        Err(failure) => none(&failure.to_string()),
    };
    Ok(())
}

/// A directory with the hook, and one that the command may write to; gone with this value.
struct Place {
    root: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl Place {
    fn make(plan: &TracePlan) -> io::Result<Place> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let root = nix::unistd::mkdtemp(&std::env::temp_dir().join("perfmap-lines-XXXXXX"))?;
        let place = Place { root };
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&place.root, 0o755)?;
        std::fs::create_dir(place.hook())?;
        mode(&place.hook(), 0o755)?;
        let file = place.hook().join("sitecustomize.py");
        std::fs::write(&file, HOOK)?;
        mode(&file, 0o644)?;
        std::fs::create_dir(place.out())?;
        mode(&place.out(), 0o700)?;
        if let Some(identity) = &plan.command.identity {
            chown(place.out(), Some(identity.uid), Some(identity.gid))?;
        }
        Ok(place)
    }

    fn hook(&self) -> PathBuf {
        self.root.join("hook")
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    fn hook_into(&self, environment: &mut Vec<(OsString, OsString)>, functions: &[(String, u32)]) {
        let before = environment.iter().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| value.clone());
        let mut path = self.hook().into_os_string();
        if let Some(before) = before.filter(|before| !before.is_empty()) {
            path.push(":");
            path.push(before);
        }
        let wanted: Vec<String> = functions.iter().map(|(file, line)| format!("{file}:{line}")).collect();
        let ours = [
            ("PYTHONPATH", path),
            ("PERFMAP_LINES", wanted.join("\n").into()),
            ("PERFMAP_LINES_OUT", self.out().into_os_string()),
        ];
        environment.retain(|(name, _)| ours.iter().all(|(other, _)| name != other));
        environment.extend(ours.into_iter().map(|(name, value)| (name.into(), value)));
    }

    fn read(&self, plan: &TracePlan, functions: &[(String, u32)], wall: Nanos) -> TimedLines {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.out())
            .into_iter()
            .flatten()
            .take(MOST_PROCESSES)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort();
        let told = files.iter().filter_map(|path| {
            let bytes = read_bounded(path, plan.owner, LARGEST).ok()?;
            serde_json::from_slice(&bytes).ok()
        });
        together(told, functions, wall)
    }
}

/// What one process wrote.
#[derive(Debug, Deserialize)]
struct Told {
    profiler: Option<String>,
    hindrance: Option<String>,
    functions: Vec<ToldFunction>,
}

#[derive(Debug, Deserialize)]
struct ToldFunction {
    file: String,
    line: u32,
    lines: Vec<(u32, u64, u64)>,
}

/// The sums over all processes, of what was asked for.
fn together(told: impl Iterator<Item = Told>, functions: &[(String, u32)], wall: Nanos) -> TimedLines {
    let (mut profiler, mut hindrance): (Option<String>, Option<String>) = (None, None);
    let mut sums: BTreeMap<(String, u32), BTreeMap<u32, (u64, Nanos)>> = BTreeMap::new();
    for one in told {
        profiler = profiler.or(one.profiler);
        hindrance = hindrance.or(one.hindrance);
        for function in one.functions {
            let key = (function.file, function.line);
            if !functions.contains(&key) {
                continue;
            }
            let of_function = sums.entry(key).or_default();
            for (line, executions, time) in function.lines.into_iter().take(MOST_LINES) {
                let sum = of_function.entry(line).or_default();
                *sum = (sum.0.saturating_add(executions), sum.1.plus(Nanos(time)));
            }
        }
    }
    let nobody = || "no Python process of the command loaded it (started with -S, -E or -I?)".to_owned();
    let short = |text: String| text.chars().take(300).collect::<String>();
    let hindrance = if profiler.is_some() { None } else { Some(hindrance.map_or_else(nobody, short)) };
    let functions = sums.into_iter().map(|((file, first_line), lines)| TimedFunction {
        file,
        first_line,
        lines: lines.into_iter().map(|(line, (executions, time))| (line, executions, time)).collect(),
    });
    TimedLines { profiler: profiler.map(short), hindrance, wall, functions: functions.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        serde_json::from_str(text).expect("as the hook writes it")
    }

    #[test]
    fn processes_are_added_up_and_what_nobody_asked_for_is_left() {
        let one = r#"{"profiler": "line_profiler 5.1.0", "hindrance": null, "functions": [
            {"file": "/a.py", "line": 2, "lines": [[3, 2, 100], [4, 1, 50]]}, {"file": "/b.py", "line": 1, "lines": [[2, 1, 1]]}]}"#;
        let other = r#"{"profiler": null, "hindrance": "python3 has no usable line_profiler", "functions": []}"#;
        let wanted = [("/a.py".to_owned(), 2)];
        let found = together([told(one), told(other), told(one)].into_iter(), &wanted, Nanos(9));
        let lines = vec![(3, 4, Nanos(200)), (4, 2, Nanos(100))];
        assert_eq!(found.functions, [TimedFunction { file: "/a.py".into(), first_line: 2, lines }]);
        assert_eq!((found.profiler.as_deref(), found.hindrance), (Some("line_profiler 5.1.0"), None));
        let missing = together([told(other)].into_iter(), &wanted, Nanos(9));
        assert_eq!(missing.hindrance.as_deref(), Some("python3 has no usable line_profiler"));
        assert!(together(std::iter::empty(), &wanted, Nanos(9)).hindrance.is_some_and(|why| why.contains("-S")));
    }
}
