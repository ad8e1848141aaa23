//! Programs that cost the probes too much: less is recorded in a stated order and said, and the program gets through.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};

fn thinned(map: &Map) -> Result<Vec<String>> {
    let warnings = map.json["warnings"].as_array().context("no warnings")?;
    let lines = warnings.iter().filter_map(|line| line.as_str()).filter(|line| line.starts_with("thinned from"));
    Ok(lines.map(str::to_owned).collect())
}

/// The same steps in the same order, some left out.
fn in_order(said: &[String], order: &[&str]) -> Result<()> {
    let mut left = order.iter();
    for line in said {
        ensure!(left.any(|step| line.contains(step)), "out of the stated order: {said:#?}");
    }
    Ok(())
}

const ORDER: [&str; 7] = [
    "socket message",
    "hold 8 KiB",
    "one of 16 requests",
    "hold 4 KiB",
    "one of 2 CPU samples",
    "one of 4 CPU samples",
    "waits below",
];

/// Whatever was given up before it. In milliseconds: the share depends on how long a busy machine takes to start a program.
fn plain_work_keeps_its_time(traced: &Traced) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let (wall, want) = (map.wall_of("plain_work"), truth.function("plain_work")?.wall_ms);
    ensure!((wall - want).abs() <= want * 0.03 + 20.0, "plain_work has {wall:.0} ms, truth {want:.0} ms");
    traced.owns_its_time()
}

/// Weights of the folded stacks with the function, in milliseconds of CPU.
fn sampled_ms(traced: &Traced, function: &str, hz: u32) -> Result<f64> {
    let text = std::fs::read_to_string(traced.out.join("profile.folded"))?;
    let weights = text.lines().filter(|line| line.contains(function)).filter_map(|line| line.rsplit(' ').next());
    let ticks = weights.filter_map(|weight| weight.parse::<f64>().ok()).fold(0.0, |sum, weight| sum + weight);
    Ok(ticks * 1000.0 / f64::from(hz))
}

/// Round trips from a deep stack, as fast as they go. The program checks every answer and its server's end itself.
#[test]
fn a_storm_of_messages_thins_the_probes() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w29_storm", &["messages"])?.options(&["--freq", "4999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let said = thinned(&map)?;
    ensure!(!said.is_empty(), "nothing was thinned, or it was not said: {}", map.warnings());
    in_order(&said, &ORDER)?;
    let want = &truth.json["http"]["peers"][0];
    let number = |key: &str| want[key].as_u64().with_context(|| format!("truth without {key}"));
    let (round_trips, connections, _, counted) = map.peer(number("port")?)?;
    ensure!(connections == 1, "{connections} connections");
    let all = number("round_trips")?;
    match counted.as_str() {
        "exact" => ensure!(round_trips == all, "{round_trips} of {all} round trips, and called exact"),
        "at least" => ensure!(round_trips <= all, "{round_trips} round trips, but there were {all}"),
        other => anyhow::bail!("round trips are marked {other:?}"),
    }
    // Samples that are skipped by then are stood for by those that are taken.
    let (sampled, used) = (sampled_ms(&traced, "plain_work", 4999)?, truth.function("plain_work")?.cpu_ms);
    ensure!((sampled - used).abs() <= used * 0.15 + 30.0, "plain_work: {sampled:.0} ms in samples, truth {used:.0} ms");
    plain_work_keeps_its_time(&traced)
}

#[test]
fn an_ordinary_program_is_recorded_in_full() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w29_storm", &["calm"])?.options(&["--freq", "999"]).passes()?;
    let map = traced.map()?;
    let said = thinned(&map)?;
    ensure!(said.is_empty(), "a calm program was thinned: {said:#?}");
    plain_work_keeps_its_time(&traced)
}
