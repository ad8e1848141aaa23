//! Rules on files, descriptors, processes, disks and time-outs: confirmed for the program with the fault, not for its twin.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};
use serde_json::Value;

const WORKLOAD: &str = "w76_twins_files";

struct Judged {
    verdicts: Vec<String>,
    result: Value,
    truth: Value,
}

fn judged(rule: &str, program: &str) -> Result<Judged> {
    let traced = Trace::workload(WORKLOAD, &[program])?.passes()?;
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    let result = file.get("profile_result").cloned().context("no profile_result at the top")?;
    let all = result["suspicion_stack"].as_array().cloned().unwrap_or_default();
    let of_rule = all.iter().filter(|one| one["id"] == rule);
    let verdicts = of_rule.filter_map(|one| one["verdict"].as_str().map(str::to_owned)).collect();
    Ok(Judged { verdicts, result, truth: traced.truth()?.json })
}

impl Judged {
    fn is(&self, verdict: &str) -> bool {
        self.verdicts.iter().any(|one| one == verdict)
    }

    /// A figure of the rule's evidence.
    fn figure(&self, rule: &str, what: &str) -> Option<f64> {
        let all = self.result["suspicion_stack"].as_array()?;
        let one = all.iter().find(|one| one["id"] == rule)?;
        one["evidence"].as_array()?.iter().find(|one| one["what"] == what)?["value"].as_f64()
    }

    fn wall_ms(&self, function: &str) -> Option<f64> {
        let functions = self.truth["functions"].as_array()?;
        functions.iter().find(|one| one["function"] == function)?["wall_ms"].as_f64()
    }
}

fn twins(rule: &str, name: &str) -> Result<Judged> {
    let (bad, good) = (judged(rule, &format!("{name}.bad"))?, judged(rule, &format!("{name}.good"))?);
    ensure!(bad.is("confirmed"), "{rule} is {:?} for the program that has it", bad.verdicts);
    ensure!(!good.is("confirmed"), "{rule} is confirmed for the program without it");
    Ok(bad)
}

/// What looks like the fault and has a reason.
fn other(rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let other = judged(rule, &format!("{rule}.other"))?;
    ensure!(!other.is("confirmed") && other.is("dismissed"), "{rule} is {:?}", other.verdicts);
    Ok(())
}

/// The table is read sixty times.
#[test]
fn repeated_file_read() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let bad = twins("repeated_file_read", "repeated_file_read")?;
    let times = bad.figure("repeated_file_read", "bytes read for each byte of the file");
    ensure!(times.is_some_and(|times| (times - 60.0).abs() < 1.0), "read {times:?} times");
    Ok(())
}

#[test]
fn a_file_that_is_written_in_between() -> Result<()> {
    other("repeated_file_read")
}

#[test]
fn over_fetching() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let bad = twins("over_fetching", "over_fetching")?;
    let connections = bad.figure("over_fetching", "connections closed unread");
    ensure!(connections == Some(20.0), "{connections:?} connections");
    Ok(())
}

/// All but the first few, whose numbers are low, are counted.
#[test]
fn leaked_descriptors() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let bad = twins("leaked_descriptors", "leaked_descriptors")?;
    let opened = bad.figure("leaked_descriptors", "opened");
    ensure!(opened == Some(150.0), "{opened:?} opened");
    Ok(())
}

#[test]
fn a_pool_that_is_kept() -> Result<()> {
    other("leaked_descriptors")
}

#[test]
fn leftover_temp_files() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let bad = twins("leftover_temp_files", "leftover_temp_files")?;
    let left = bad.figure("leftover_temp_files", "still there at the end");
    ensure!(left == Some(30.0), "{left:?} left");
    Ok(())
}

#[test]
fn time_outs() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let bad = twins("default_limit_reached", "time_out")?;
    let length = bad.figure("default_limit_reached", "their median length").unwrap_or_default();
    ensure!((length - 300.0).abs() < 30.0, "time-outs of {length} ms");
    Ok(())
}

#[test]
fn many_short_lived_processes() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    twins("many_short_lived_processes", "processes").map(|_| ())
}

/// Where the file's pages can not be made to leave the cache, or come back at once, there is nothing to see.
#[test]
fn major_faults() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let rule = "major_faults";
    let (bad, good) = (judged(rule, "major_faults.bad")?, judged(rule, "major_faults.good")?);
    ensure!(!good.is("confirmed"), "confirmed for the program without it");
    let (slow, quick) = (bad.wall_ms("touch").context("no touch")?, good.wall_ms("touch").context("no touch")?);
    // The rule's limit is a tenth of the program's life, which begins with the making of the file.
    let life = bad.truth["process"]["wall_ms"].as_f64().context("no wall time")?;
    if slow < 3.0 * quick || slow - quick < 0.2 * life {
        eprintln!("pages from the device take {slow:.0} of {life:.0} ms here, from the cache {quick:.0} ms: too near");
        return Ok(());
    }
    ensure!(bad.is("confirmed"), "{:?} for the program that has it", bad.verdicts);
    Ok(())
}

/// Where files lie on no block device (a container's memory, a network), there is none to be at its limit.
#[test]
fn disk_throughput_bound() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let rule = "disk_throughput_bound";
    let good = judged(rule, "disk.good")?;
    ensure!(!good.is("confirmed"), "confirmed for the program without it");
    let bad = judged(rule, "disk.bad")?;
    if bad.verdicts.is_empty() {
        eprintln!("nobody waited for a block device here");
        return Ok(());
    }
    ensure!(bad.is("confirmed"), "{:?} for the program that has it", bad.verdicts);
    Ok(())
}
