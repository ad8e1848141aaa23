//! A second run where the profiled one has too few samples for the lines of a hot function: made by itself, said, kept in the
//! recording; not where it was not wanted, and not where the command fails. And gains of fixes that take waits away.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, places, turn};
use serde_json::Value;
use std::process::Command;

/// Computes for 300 ms: some 30 samples at 99 Hz. Each run leaves a line in `runs`.
const BRIEF: &str = "\
import sys, time
def parse():
    end, x = time.thread_time_ns() + 300_000_000, 1
    while time.thread_time_ns() < end:
        for _ in range(200):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x
parse()
with open('runs', 'a') as file:
    file.write('x')
sys.exit(int(sys.argv[1]))
";

struct Brief {
    dir: tempfile::TempDir,
}

impl Brief {
    fn new() -> Result<Brief> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.path(), open).context("open the directory")?;
        std::fs::write(dir.path().join("brief.py"), BRIEF).context("write the program")?;
        Ok(Brief { dir })
    }

    fn trace(&self, code: &str) -> Trace {
        Trace::command(["python3", "brief.py", code]).dir(self.dir.path()).option("--no-baseline")
    }

    fn runs(&self) -> usize {
        std::fs::read(self.dir.path().join("runs")).map_or(0, |runs| runs.len())
    }
}

fn result(traced: &Traced) -> Result<Value> {
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    file.get("profile_result").cloned().context("no profile_result at the top")
}

fn level_2(result: &Value) -> Option<Value> {
    result["escalation"].as_array()?.iter().find(|step| step["level"] == 2).cloned()
}

#[test]
fn too_few_samples_are_taken_again_at_999_hz() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let brief = Brief::new()?;
    let traced = brief.trace("0").escalates().passes()?;
    ensure!(brief.runs() == 2, "{} runs", brief.runs());
    ensure!(traced.stderr().contains("once more at 999 Hz"), "{}", traced.words());
    let level = level_2(&result(&traced)?).context("no level 2")?;
    ensure!(level["function"] == "parse" && level["run"]["sample_hz"] == 999, "{level}");
    let lines = level["lines"].as_array().cloned().unwrap_or_default();
    let samples: u64 = lines.iter().filter_map(|line| line["samples"].as_u64()).sum();
    ensure!(samples >= 100, "{level}");
    for line in &lines {
        ensure!(line["line"].as_u64().is_some_and(|line| (3..=6).contains(&line)), "{line}");
        ensure!(line["error_pct"].as_f64().is_some_and(|error| error > 0.0 && error < 14.0), "{line}");
    }
    // The recording holds both runs.
    let again = traced.out.join("again");
    let report =
        Command::new(places::perfmap()?).arg("report").arg(traced.recording()).arg("--out").arg(&again).output()?;
    ensure!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let same = std::fs::read(traced.result_path())? == std::fs::read(again.join("profile_result.yaml"))?;
    ensure!(same, "the report from the recording is another one");
    Ok(())
}

#[test]
fn no_second_run_where_it_is_not_wanted_or_the_command_fails() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let brief = Brief::new()?;
    let traced = brief.trace("0").passes()?;
    ensure!(brief.runs() == 1, "{} runs", brief.runs());
    let level = level_2(&result(&traced)?).context("no level 2")?;
    ensure!(level.get("run").is_none(), "{level}");
    let failing = Brief::new()?;
    let traced = failing.trace("3").escalates().run()?;
    ensure!(traced.code() == Some(3), "{}", traced.words());
    ensure!(failing.runs() == 1, "{} runs", failing.runs());
    Ok(())
}

/// Without the module in the program's Python the hint says so and the run is as good as any other; with it each line has its
/// executions, in `parse` and in nothing else.
#[test]
fn lines_are_timed_in_the_program_where_that_is_allowed() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let timed = |result: &Value| {
        let steps = result["escalation"].as_array().cloned().unwrap_or_default();
        steps.into_iter().find(|step| step["profiler"].as_str().is_some_and(|name| name.starts_with("line_profiler")))
    };
    let without = Brief::new()?;
    let traced = without.trace("0").env("PYTHONNOUSERSITE", "1").option("--allow-instrumentation").passes()?;
    let step = timed(&result(&traced)?).context("no word of line_profiler")?;
    let lacks = step["result"].as_str().is_some_and(|text| text.contains("no usable line_profiler"));
    let python = places::tools_python();
    let has = |python: &std::path::Path| {
        let import = Command::new(python).args(["-c", "import line_profiler"]).output();
        import.is_ok_and(|out| out.status.success())
    };
    ensure!(lacks || has("python3".as_ref()), "{step}");
    if !has(&python) {
        eprintln!("skipped: no line_profiler in {}", python.display());
        return Ok(());
    }
    let with = Brief::new()?;
    let words = [python.into_os_string(), "brief.py".into(), "0".into()];
    let trace = Trace::command(words).dir(with.dir.path()).options(&["--no-baseline", "--allow-instrumentation"]);
    let traced = trace.passes()?;
    let step = timed(&result(&traced)?).context("nothing was timed")?;
    let lines = step["lines"].as_array().cloned().unwrap_or_default();
    ensure!(step["function"] == "parse" && !lines.is_empty(), "{step}");
    for line in &lines {
        ensure!(line["line"].as_u64().is_some_and(|line| (3..=7).contains(&line)), "{line}");
        ensure!(line["executions"].as_u64().is_some_and(|count| count > 0), "{line}");
    }
    ensure!(
        result(&traced)?["instrumented_files"].as_array().is_some_and(Vec::is_empty),
        "files are said to be changed"
    );
    ensure!(std::fs::read_to_string(with.dir.path().join("brief.py"))? == BRIEF, "the program was changed");
    Ok(())
}

/// What stays alive is told by function, and what is freed is not.
#[test]
fn tracemalloc_counts_what_stays_where_it_is_asked_for() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = tempfile::tempdir().context("make a directory")?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).context("open the directory")?;
    let text = "\
KEPT = []
def keep():
    KEPT.append(bytearray(8 << 20))
def drop():
    len(bytearray(24 << 20))
keep()
drop()
";
    std::fs::write(dir.path().join("kept.py"), text).context("write the program")?;
    let trace = Trace::command(["python3", "kept.py"]).dir(dir.path()).options(&["--no-baseline", "--tracemalloc"]);
    let found = result(&trace.passes()?)?;
    let steps = found["escalation"].as_array().cloned().unwrap_or_default();
    let step = steps.iter().find(|step| step["profiler"] == "tracemalloc").context("no word of tracemalloc")?;
    let said = step["result"].as_str().unwrap_or_default();
    ensure!(step["level"] == 3 && said.contains("keep 8.0 MiB") && !said.contains("drop 2"), "{step}");
    Ok(())
}

/// The wait for a lock is taken away in the timelines; the program that has a lock for each thread saves it.
#[test]
fn gains_of_locks_and_transactions() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for (program, rule) in [("lock", "lock_contention"), ("database", "database_write_lock")] {
        let work = |kind: &str| -> Result<(Value, f64)> {
            let traced = Trace::workload("w72_twins_cpu", &[&format!("{program}.{kind}")])?.passes()?;
            let work = traced.truth()?.json["work_ms"].as_f64().context("truth without work")?;
            Ok((result(&traced)?, work))
        };
        let ((bad, before), (_, after)) = (work("bad")?, work("fixed")?);
        let hints = bad["optimization_hints"].as_array().cloned().unwrap_or_default();
        let hint = hints.iter().find(|hint| hint["suspicion"] == rule).with_context(|| format!("no hint of {rule}"))?;
        let predicted = hint["expected_gain_ms"].as_f64().with_context(|| format!("no gain: {hint}"))?;
        let measured = before - after;
        ensure!(
            (predicted - measured).abs() <= 0.25 * measured,
            "{rule}: {predicted:.0} ms predicted, {measured:.0} ms measured"
        );
        ensure!(hint["how"].as_str().is_some_and(|how| how.contains("before:") && how.contains("after:")), "{hint}");
    }
    Ok(())
}
