//! A database inside the program: what it waits for is the database's, and what others wait for is not.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};

fn waited(map: &Map, function: &str, causes: &[&str]) -> f64 {
    let of = |cause: &&str| map.outermost(function).filter_map(|step| step.wait_ms.get(*cause)).fold(0.0, |a, b| a + b);
    causes.iter().map(of).fold(0.0, |a, b| a + b)
}

/// What the function was off the CPU for was one kind of wait, but for waits for a CPU.
fn waits_for(traced: &Traced, function: &str, cause: &str, others: &[&str]) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let measured = truth.function(function)?;
    let off = measured.wall_ms - measured.cpu_ms;
    if off < 100.0 {
        eprintln!("{function} was off the CPU for {off:.0} ms only: too little to say what for");
        return Ok(());
    }
    let (own, queue) = (waited(&map, function, &[cause]), waited(&map, function, &["runqueue", "throttled"]));
    ensure!(own + queue > 0.75 * off, "{function}: {own:.0} ms {cause}, {queue:.0} ms for a CPU, truth {off:.0} ms");
    ensure!(own <= off * 1.1 + 20.0, "{function}: {own:.0} ms {cause}, truth {off:.0} ms");
    let wrong = waited(&map, function, others);
    ensure!(wrong < 0.1 * off, "{function}: {wrong:.0} of {off:.0} ms for {others:?}");
    Ok(())
}

fn kind(map: &Map, function: &str) -> Result<String> {
    let step = map.of(function).next().with_context(|| format!("no step of {function}"))?;
    step.kind.clone().with_context(|| format!("{function} without a type"))
}

#[test]
fn commits_and_the_lock_of_another_process() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w34_sqlite", &[])?.passes()?;
    waits_for(&traced, "insert_rows", "db", &["disk", "sleep", "lock"])?;
    waits_for(&traced, "wait_for_lock", "db", &["disk", "sleep", "lock"])?;
    waits_for(&traced, "sync_file", "disk", &["db"])?;
    waits_for(&traced, "nap", "sleep", &["db"])?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    ensure!(kind(&map, "wait_for_lock")? == "db_query", "wait_for_lock is a {}", kind(&map, "wait_for_lock")?);
    ensure!(kind(&map, "nap")? == "sleep", "nap is a {}", kind(&map, "nap")?);
    // From when it was asked for to when the other process, by the same clock, was about to give it.
    let held = truth.json["held_ms"].as_f64().context("truth without held_ms")?;
    let (got, queued) = (waited(&map, "wait_for_lock", &["db"]), waited(&map, "wait_for_lock", &["runqueue"]));
    ensure!(
        got + queued > 0.9 * held,
        "wait_for_lock waited {got:.0} ms, and {queued:.0} ms for a CPU, for a lock held for {held:.0} ms"
    );
    // One fsync can take any time, where others write to the same disk.
    let off = |function| truth.function(function).map(|of| of.wall_ms - of.cpu_ms);
    let (database, file) = (off("insert_rows")? + off("wait_for_lock")?, off("sync_file")?);
    let class = map.json["bottleneck_classification"].as_str().unwrap_or_default();
    ensure!(
        class == "I/O-DB" || class == "I/O-File" && file > database * 0.9,
        "{class}: {database:.0} ms for the database, {file:.0} ms for a file"
    );
    traced.owns_its_time()
}
