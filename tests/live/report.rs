//! What is concluded: suspicions with their verdicts, lines of hot functions, comparisons, exit codes for CI.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, places, turn};
use serde_json::Value;
use std::process::{Command, Output};

/// `profile_result`, read as JSON.
fn result(traced: &Traced) -> Result<Value> {
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    file.get("profile_result").cloned().context("no profile_result at the top")
}

fn verdicts<'r>(result: &'r Value, rule: &str) -> Vec<(&'r str, &'r str)> {
    let all = result["suspicion_stack"].as_array().map_or(&[][..], Vec::as_slice);
    let of_rule = all.iter().filter(|one| one["id"] == rule);
    of_rule.filter_map(|one| Some((one["subject"].as_str()?, one["verdict"].as_str()?))).collect()
}

fn perfmap(arguments: &[&std::ffi::OsStr]) -> Result<Output> {
    Command::new(places::perfmap()?).args(arguments).output().context("run perfmap")
}

/// The rule is confirmed for the program with the fault, and not for its twin. Each program writes which is which.
fn twins(variant: &str, words: &[&str]) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for kind in ["bad", "good"] {
        let variant = format!("{variant}.{kind}");
        let words: Vec<&str> = std::iter::once(variant.as_str()).chain(words.iter().copied()).collect();
        Trace::workload("w72_twins_cpu", &words)?.passes()?.check_result("suspicions")?;
    }
    Ok(())
}

#[test]
fn twins_hot_function() -> Result<()> {
    twins("hot_function", &[])
}

#[test]
fn twins_remote_service() -> Result<()> {
    twins("remote_cpu", &[])
}

#[test]
fn twins_lock() -> Result<()> {
    twins("lock", &[])
}

#[test]
fn twins_database_lock() -> Result<()> {
    twins("database", &[])
}

#[test]
fn twins_interpreter() -> Result<()> {
    twins("gil", &[])
}

#[test]
fn twins_run_queue() -> Result<()> {
    twins("queue", &[])
}

/// The same faults in C, where no interpreter names anything.
#[test]
fn twins_in_c() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for (rule, variant, subject) in
        [("cpu_bound_hot_function", "hot_function", "parse_all"), ("lock_contention", "lock", "work")]
    {
        let of = |kind: &str| -> Result<Value> {
            result(&Trace::workload("w72_twins_cpu", &[&format!("{variant}.{kind}"), "c"])?.passes()?)
        };
        let (bad, good) = (of("bad")?, of("good")?);
        ensure!(verdicts(&bad, rule).contains(&(subject, "confirmed")), "{variant}.bad: {:?}", verdicts(&bad, rule));
        let quiet = verdicts(&good, rule).iter().all(|(_, verdict)| *verdict != "confirmed");
        ensure!(quiet, "{variant}.good: {:?}", verdicts(&good, rule));
    }
    Ok(())
}

/// A cgroup with a fifth of a CPU.
#[test]
fn throttling_is_confirmed_where_a_quota_is_used_up() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let throttled = result(&Trace::workload("w56_throttled", &[])?.passes()?)?;
    let found = verdicts(&throttled, "cpu_throttling");
    ensure!(found.iter().any(|(_, verdict)| *verdict == "confirmed"), "{found:?}");
    Ok(())
}

/// Calls one after the other are confirmed, one connection is not suspected of anything, and services that compute are
/// told from those that wait.
#[test]
fn suspicions_of_the_example() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.passes()?;
    traced.check_result("schema,class,top,suspicions")?;
    let found = result(&traced)?;
    let verdicts = verdicts(&found, "remote_service_cpu_bound");
    ensure!(verdicts.contains(&("tikal", "confirmed")), "{verdicts:?}");
    ensure!(!verdicts.contains(&("mt-engine", "confirmed")), "{verdicts:?}");
    let context = std::fs::read_to_string(traced.out.join("context.md")).context("context.md")?;
    for part in
        ["## Problem", "## Map", "## Suspicions", "### remote_service_cpu_bound (confirmed): tikal", "## Commands"]
    {
        ensure!(context.contains(part), "context.md has no {part}");
    }
    Ok(())
}

/// Lines of the hot function, in both languages: those between its first and its last line, and as many samples as it has.
#[test]
fn lines_of_the_hot_function() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for (words, file) in [(&["hot_function.bad"][..], "twins.py"), (&["hot_function.bad", "c"][..], "twins.c")] {
        let found = result(&Trace::workload("w72_twins_cpu", words)?.option("--freq").option("499").passes()?)?;
        let levels = found["escalation"].as_array().cloned().unwrap_or_default();
        let level = levels.iter().find(|step| step["level"] == 2).context("no level 2")?;
        ensure!(level["function"] == "parse_all", "{level}");
        ensure!(level["location"].as_str().is_some_and(|place| place.contains(file)), "{level}");
        let source = std::fs::read_to_string(places::workloads().join("w72_twins_cpu").join(file))?;
        let named = if file.ends_with(".c") { "WORK(parse_all" } else { "def parse_all" };
        let first = source.lines().position(|line| line.starts_with(named)).context(named)? as u64 + 1;
        let lines = level["lines"].as_array().cloned().unwrap_or_default();
        ensure!(!lines.is_empty(), "{level}");
        let share: f64 = lines.iter().filter_map(|line| line["share_pct"].as_f64()).sum();
        ensure!(share > 90.0, "the lines have {share} % of the samples: {level}");
        for line in &lines {
            let number = line["line"].as_u64().context("a line")?;
            ensure!((first..first + 6).contains(&number), "line {number} of a function that begins at {first}");
        }
    }
    Ok(())
}

/// From a worse run to a better one and back: what is resolved one way is new the other way.
#[test]
fn two_recordings_compared() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let of = |kind: &str| Trace::workload("w72_twins_cpu", &[&format!("lock.{kind}")])?.passes();
    let (bad, good) = (of("bad")?, of("good")?);
    let compared = |before: &Traced, after: &Traced, options: &[&str]| -> Result<Output> {
        let (before, after) = (before.recording(), after.result_path());
        let mut words: Vec<&std::ffi::OsStr> = vec!["diff".as_ref(), before.as_os_str(), after.as_os_str()];
        words.extend(options.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        perfmap(&words)
    };
    let there = compared(&bad, &good, &["--format", "json"])?;
    let json: Value = serde_json::from_slice(&there.stdout).context("JSON")?;
    let resolved = &json["performance_diff"]["suspicions"]["resolved"];
    ensure!(resolved.as_array().is_some_and(|all| all.iter().any(|one| one["id"] == "lock_contention")), "{resolved}");
    let back = compared(&good, &bad, &["--fail-on", "suspicion", "--format", "markdown"])?;
    ensure!(back.status.code() == Some(6), "{}: {}", back.status, String::from_utf8_lossy(&back.stderr));
    let text = String::from_utf8_lossy(&back.stdout).into_owned();
    ensure!(text.contains("New suspicions:") && text.contains("`lock_contention`"), "{text}");
    let same = compared(&bad, &bad, &["--fail-on", "suspicion", "--fail-on", "step", "--fail-on", "regression"])?;
    ensure!(same.status.success(), "{}: {}", same.status, String::from_utf8_lossy(&same.stderr));
    Ok(())
}

/// The command's own exit code comes first.
#[test]
fn conditions_for_ci() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let code = |command: &str, condition: &str| -> Result<Option<i32>> {
        let trace = Trace::command(["sh", "-c", command]).options(&["--no-baseline", "--fail-on", condition]);
        Ok(trace.run()?.code())
    };
    ensure!(code("sleep 0.2", "wall>100")? == Some(6));
    ensure!(code("sleep 0.2", "wall>60000")? == Some(0));
    ensure!(code("sleep 0.2; exit 3", "wall>100")? == Some(3));
    ensure!(code("true", "wall")? == Some(2));
    Ok(())
}
