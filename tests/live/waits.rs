//! Who waited for whom: event loops and thread pools, each function's time under who waited for it.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};

/// A sample and a look at the clock on both sides.
const RESOLUTION_MS: f64 = 10.0;

/// Wall time of each function, as a union, within 10 % of what the program measured.
fn wall_times(traced: &Traced, functions: &[&str]) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for name in functions {
        let (got, want) = (map.wall_of(name), truth.function(name)?.wall_ms);
        ensure!(map.has(name), "no step of {name}, which took {want:.0} ms");
        ensure!((got - want).abs() <= want * 0.1 + RESOLUTION_MS, "{name}: {got:.0} ms, truth {want:.0} ms");
    }
    traced.owns_its_time()
}

fn under(map: &Map, outer: &str, inner: &str) -> Result<()> {
    ensure!(map.nested(outer, inner), "{inner} is not under {outer}, which waited for it");
    Ok(())
}

/// Wall time of the steps of a function that lie below another one.
fn below(map: &Map, outer: &str, inner: &str) -> f64 {
    let steps = map.outermost(inner).filter(|step| step.above.iter().any(|above| above == outer));
    steps.fold(0.0, |sum, step| sum + step.wall_ms)
}

#[test]
fn two_hundred_requests_over_one_event_loop() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w40_loops", &["client"])?.options(&["--freq", "999"]).passes()?;
    let phases = ["phase_timer", "phase_compute", "phase_mixed", "phase_blocked"];
    wall_times(&traced, &phases)?;
    wall_times(&traced, &["fetch_timer", "fetch_compute", "nap", "hog"])?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for (outer, inner) in [
        ("phase_timer", "fetch_timer"),
        ("phase_compute", "fetch_compute"),
        ("phase_mixed", "fetch_a"),
        ("phase_blocked", "hog"),
        // The server's own functions, at any depth below the coroutine that sent the request.
        ("fetch_timer", "answer_timer"),
        ("fetch_compute", "answer_compute"),
        ("answer_timer", "pause"),
    ] {
        under(&map, outer, inner)?;
    }
    // The server, one task of whose loop works for the one that the client waits for: ten times 20 ms after another at
    // least, and a hundred times 2 ms of CPU, never more than anybody was inside.
    for (phase, inside, handler, least) in
        [("phase_timer", "pause", "pause", 100.0), ("phase_compute", "crunch", "answer_compute", 100.0)]
    {
        let most = truth.json["within"][phase][handler].as_f64().with_context(|| format!("no truth of {handler}"))?;
        let got = below(&map, phase, inside);
        ensure!(
            got >= least && got <= most * 1.1 + RESOLUTION_MS,
            "{inside}: {got:.0} ms in {phase}, truth {most:.0} ms"
        );
    }
    // Two of them overlap: each millisecond has one owner.
    let mixed = truth.function("phase_mixed")?.wall_ms;
    let both = map.wall_of("fetch_a") + map.wall_of("fetch_b");
    ensure!(
        (both - mixed).abs() <= mixed * 0.1 + RESOLUTION_MS,
        "fetch_a and fetch_b own {both:.0} ms of {mixed:.0} ms"
    );
    // It wakes the loop a hundred times a second, and nobody waits for it.
    ensure!(map.share("ticker") <= 8.0, "ticker, for which nobody waited, has {} %", map.share("ticker"));
    Ok(())
}

#[test]
fn a_loop_without_coroutines() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w40_loops", &["selectors"])?.options(&["--freq", "999"]).passes()?;
    wall_times(&traced, &["ask_timer", "ask_slow"])?;
    under(&traced.map()?, "ask_timer", "answer_timer")?;
    under(&traced.map()?, "ask_slow", "answer_slow")
}

#[test]
fn work_that_an_event_loop_gives_to_threads() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w40_loops", &["executor"])?.options(&["--freq", "999"]).passes()?;
    wall_times(&traced, &["await_sleeps", "await_computes", "pool_sleep"])?;
    let map = traced.map()?;
    under(&map, "await_sleeps", "pool_sleep")?;
    under(&map, "await_computes", "pool_compute")?;
    ensure!(
        below(&map, "await_sleeps", "pool_sleep") >= map.wall_of("pool_sleep") * 0.9,
        "pool_sleep is elsewhere, too"
    );
    Ok(())
}

#[test]
fn two_hundred_requests_over_twenty_threads() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w41_pools", &["requests"])?.options(&["--freq", "999"]).passes()?;
    wall_times(&traced, &["all_requests", "request_worker", "fetch"])?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    under(&map, "all_requests", "fetch")?;
    under(&map, "fetch", "look_up")?;
    ensure!(map.round_trips("fetch") == 200, "{} round trips of 200 below fetch", map.round_trips("fetch"));
    // One client's ten requests after another at least.
    let (got, most) = (below(&map, "fetch", "look_up"), truth.function("look_up")?.wall_ms);
    ensure!(got >= 90.0 && got <= most * 1.1 + RESOLUTION_MS, "look_up: {got:.0} ms below fetch, truth {most:.0} ms");
    Ok(())
}

#[test]
fn results_of_a_thread_pool() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w41_pools", &["pool"])?.options(&["--freq", "999"]).passes()?;
    wall_times(&traced, &["collect_sleeps", "collect_computes", "sleep_item"])?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    under(&map, "collect_sleeps", "sleep_item")?;
    under(&map, "collect_computes", "compute_item")?;
    let (got, most) = (map.wall_of("compute_item"), truth.function("compute_item")?.wall_ms);
    ensure!(got >= most * 0.5 && got <= most * 1.1 + RESOLUTION_MS, "compute_item: {got:.0} ms, truth {most:.0} ms");
    Ok(())
}

#[test]
fn a_producer_and_a_consumer() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w41_pools", &["queue"])?.options(&["--freq", "999"]).passes()?;
    wall_times(&traced, &["gather_results", "digest"])?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    under(&map, "gather_results", "digest")?;
    // The consumer is the slower one: the producer is waited for at the beginning alone.
    let most = truth.function("produce")?.wall_ms;
    ensure!(map.wall_of("produce") <= most * 0.5, "produce: {:.0} ms of {most:.0} ms", map.wall_of("produce"));
    Ok(())
}
