//! `--allow-instrumentation`: the command runs once more with line_profiler → how long each line of the hot functions took, and how
//! often it ran.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Hooked, nobody, run_with, short};
use crate::{
    cli::{console::Console, errors::Failure, plan::TracePlan, progress::Progress, runner::Learned},
    recording::{Nanos, Recording, TimedFunction, TimedLines},
};

const HOOK: &str = concat!(include_str!("site_head.py"), include_str!("lines_site.py"), include_str!("site_tail.py"));
const MOST_LINES: usize = 10_000;

pub fn time_lines(
    plan: &TracePlan,
    learned: Learned,
    functions: &[(String, u32)],
    recording: &mut Recording,
    progress: &Progress<'_>,
    console: &Console,
) -> Result<Learned, Failure> {
    let none = |hindrance: String| TimedLines { hindrance: Some(hindrance), ..TimedLines::default() };
    if functions.is_empty() {
        console.note("--allow-instrumentation: no Python function is hot, so no line is timed");
        recording.closer.lines = Some(none("no Python function is hot".into()));
        return Ok(learned);
    }
    progress.again(
        "once more with line_profiler in the Python processes (PYTHONPATH has a directory of perfmap's first; no file is changed)",
    );
    let wanted: Vec<String> = functions.iter().map(|(file, line)| format!("{file}:{line}")).collect();
    let variable = ("PERFMAP_LINES", wanted.join("\n").into());
    let (hooked, learned) = run_with(plan, learned, HOOK, [variable], "PERFMAP_LINES_OUT", recording, console)?;
    let found = match hooked {
        Hooked::Told(told, wall) => together(told.into_iter(), functions, wall),
        Hooked::Nothing(why) => none(why),
    };
    if let Some(hindrance) = &found.hindrance {
        console.warning(&format!("no lines are timed: {hindrance}"));
    }
    recording.closer.lines = Some(found);
    Ok(learned)
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
