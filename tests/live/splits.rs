//! Java and Node started as they are: what perfmap asks them for names their functions, whose split and requests they count
//! themselves.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, places, turn, workload};

const POINTS: f64 = 3.0;

/// Shares of what the three functions have together, by CPU time; and every request.
fn split(traced: &Traced) -> Result<()> {
    traced.owns_its_time()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let truths = truth.functions()?;
    let together: f64 = truths.iter().map(|one| map.cpu_ms(&one.name)).sum();
    let whole: f64 = truths.iter().map(|one| one.cpu_ms).sum();
    // Before it was asked for the first time nothing has a name.
    ensure!(together > whole / 3.0, "{together:.0} of {whole:.0} ms have names:\n{}", traced.words());
    for one in &truths {
        let (got, want) = (100.0 * map.cpu_ms(&one.name) / together, one.wall_share_pct);
        ensure!((got - want).abs() <= POINTS, "{}: {got:.1} %, truth {want:.1} %", one.name);
    }
    let answered = truth.json["answered"].as_u64().context("answered")?;
    let trips: u64 = map.json["peers"].as_array().into_iter().flatten().filter_map(|p| p["round_trips"].as_u64()).sum();
    ensure!(trips == answered, "{trips} round trips, the server answered {answered}");
    Ok(())
}

/// jcmd names what is compiled; with --no-env nobody asks.
#[test]
fn java_is_asked_for_its_names() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = workload::ready("w91_splits")?;
    let (Some(java), true, true) =
        (places::program("java"), places::program("jcmd").is_some(), dir.join("bin/Split.class").is_file())
    else {
        eprintln!("SKIPPED: no JDK on this machine");
        return Ok(());
    };
    let words = ["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", "bin", "Split"].map(std::ffi::OsString::from);
    let traced = Trace::command([java.into_os_string()].into_iter().chain(words))
        .dir(&dir)
        .options(&["--freq", "999"])
        .passes()?;
    split(&traced)?;
    let warnings = traced.map()?.warnings();
    ensure!(warnings.contains("names from jcmd PID Compiler.perfmap"), "not said: {warnings}");
    ensure!(traced.words().contains("--no-env"), "not said:\n{}", traced.words());
    Ok(())
}

#[test]
fn node_names_its_functions() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = workload::ready("w91_splits")?;
    let Some(node) = places::program("node") else {
        eprintln!("SKIPPED: no node on this machine");
        return Ok(());
    };
    // V8 leaves its log where it runs.
    let traced = Trace::command([node.into_os_string(), dir.join("split.mjs").into_os_string()])
        .dir(dir.join("truth"))
        .options(&["--freq", "999", "--app"])
        .option(&dir)
        .passes()?;
    split(&traced)
}
