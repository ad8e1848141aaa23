//! Who waited for whom: event loops and thread pools, each function's time under who waited for it.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};

/// Wall time of each function, as a union, within 10 % or 20 ms of what the program measured.
fn wall_times(traced: &Traced, functions: &[&str]) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for name in functions {
        let (got, want) = (map.wall_of(name), truth.function(name)?.wall_ms);
        ensure!(map.has(name), "no step of {name}, which took {want:.0} ms");
        ensure!((got - want).abs() <= (want * 0.1).max(20.0), "{name}: {got:.0} ms, truth {want:.0} ms");
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
        [("phase_timer", "pause", "pause", 150.0), ("phase_compute", "crunch", "answer_compute", 120.0)]
    {
        let most = truth.json["within"][phase][handler].as_f64().with_context(|| format!("no truth of {handler}"))?;
        let got = below(&map, phase, inside);
        ensure!(got >= least && got <= most * 1.1 + 20.0, "{inside}: {got:.0} ms in {phase}, truth {most:.0} ms");
    }
    // Two of them overlap: each millisecond has one owner.
    let mixed = truth.function("phase_mixed")?.wall_ms;
    let both = map.wall_of("fetch_a") + map.wall_of("fetch_b");
    ensure!((both - mixed).abs() <= (mixed * 0.15).max(25.0), "fetch_a and fetch_b own {both:.0} ms of {mixed:.0} ms");
    // It wakes the loop a hundred times a second, and nobody waits for it.
    ensure!(map.share("ticker") <= 8.0, "ticker, for which nobody waited, has {} %", map.share("ticker"));
    Ok(())
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
