//! What there is not enough of is named: who had the CPU that a thread was ready for, and which disk was waited for.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn, workload};
use serde_json::Value;

/// (wait_ms, the row) of who had the CPU, by name.
fn rival<'a>(map: &'a Map, name: &str) -> Result<(f64, &'a Value)> {
    let rows = map.json["run_queue"].as_array().context("nobody had the CPU")?;
    let row = rows.iter().find(|row| row["had_cpu"] == name);
    let row = row.with_context(|| format!("{name} is not in {:?}", map.json["run_queue"]))?;
    Ok((row["wait_ms"].as_f64().context("a row without wait_ms")?, row))
}

/// All of the wait was the rival's but what others on this machine took, which is not known: a tenth at least is asked for.
fn is_most(waited: f64, traced: &Traced) -> Result<()> {
    let ready = traced.truth()?.json["ready_ms"].as_f64().context("truth without ready_ms")?;
    ensure!(ready >= 50.0, "300 ms of CPU on a shared one were held up for {ready:.0} ms only");
    ensure!(waited >= ready * 0.1, "it had the CPU for {waited:.0} of {ready:.0} ms");
    Ok(())
}

#[test]
fn a_thread_that_has_the_cpu() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w84_scarce", &["threads"])?.options(&["--freq", "499"]).passes()?;
    let map = traced.map()?;
    let (waited, row) = rival(&map, "w84-hog")?;
    is_most(waited, &traced)?;
    ensure!(row["traced"] == true && row["function"] == "hog", "{row}");
    traced.owns_its_time()
}

/// Ended when dropped.
struct Outsider(Child);

impl Drop for Outsider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn another_process_that_has_the_cpu() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let program = workload::ready("w84_scarce")?.join("bin/scarce");
    let child = Command::new(&program).arg("outsider").stdin(Stdio::null()).spawn().context("start the outsider")?;
    let _outsider = Outsider(child);
    let traced = Trace::workload("w84_scarce", &["alone"])?.passes()?;
    let map = traced.map()?;
    let (waited, row) = rival(&map, "w84-outsider")?;
    is_most(waited, &traced)?;
    ensure!(row["traced"] == false && row["function"].is_null(), "{row}");
    traced.owns_its_time()
}

#[test]
fn the_disk_that_writes_go_to() -> Result<()> {
    /// Faster ones are below the threshold of single waits.
    const FAST_MS: f64 = 0.3;
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w84_scarce", &["disk"])?.passes()?;
    let truth = traced.truth()?;
    if let Some(why) = truth.json["skipped"].as_str() {
        eprintln!("not run: {why}");
        return Ok(());
    }
    let number = |key: &str| truth.json[key].as_f64().with_context(|| format!("truth without {key}"));
    let (save, syncs) = (number("save_ms")?, number("syncs")?);
    if save < syncs * FAST_MS {
        eprintln!("not run: {save:.1} ms for {syncs} syncs is too fast to be seen one by one");
        return Ok(());
    }
    let names = truth.json["devices"].as_array().context("truth without devices")?;
    let map = traced.map()?;
    let rows = map.json["disks"].as_array().with_context(|| format!("no disk, but {save:.1} ms of writes"))?;
    let row = rows.iter().find(|row| names.contains(&row["device"]) && row["function"] == "save");
    let row = row.with_context(|| format!("none of {names:?} is in {rows:?}"))?;
    let waited = row["wait_ms"].as_f64().context("a row without wait_ms")?;
    ensure!(waited <= save * 1.1 + 20.0, "{waited:.1} ms for writes of {save:.1} ms");
    traced.owns_its_time()
}
