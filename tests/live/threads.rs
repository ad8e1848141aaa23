//! Several threads and several processes in one program: each function's own time, under who waited for it.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// CPU time of every function within 12 % or 25 ms of what the program measured.
fn cpu_times(traced: &Traced, functions: &[&str]) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for name in functions {
        let (got, want) = (map.cpu_ms(name), truth.function(name)?.cpu_ms);
        ensure!(map.has(name), "no step of {name}, which had {want:.0} ms of CPU");
        ensure!((got - want).abs() <= (want * 0.12).max(25.0), "{name}: {got:.0} ms of CPU, truth {want:.0} ms");
    }
    traced.owns_its_time()
}

/// No function is longer than the run, though the threads together are.
fn shares_stay_below_the_whole(traced: &Traced) -> Result<()> {
    let map = traced.map()?;
    for step in &map.steps {
        ensure!(step.share_pct <= 100.5, "{} has {} % of the wall time", step.function, step.share_pct);
    }
    Ok(())
}

#[test]
fn four_c_threads() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w23_threads", &["c"])?.options(&["--freq", "999"]).passes()?;
    cpu_times(&traced, &["work_alpha", "work_beta", "work_gamma", "work_delta"])?;
    shares_stay_below_the_whole(&traced)?;
    // The longest thread is what main waited for at the end.
    let (map, truth) = (traced.map()?, traced.truth()?);
    let (share, want) = (map.share("work_alpha"), truth.function("work_alpha")?.wall_share_pct);
    ensure!((share - want).abs() <= 5.0, "work_alpha {share:.1} %, truth {want:.1} %");
    Ok(())
}

#[test]
fn four_python_threads() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w23_threads", &["py"])?.options(&["--freq", "999"]).passes()?;
    cpu_times(&traced, &["zip_blobs", "hash_blobs", "sum_squares", "join_words"])?;
    shares_stay_below_the_whole(&traced)
}

/// Pages of a stack that were never touched cannot be copied: what called past them is found all the same.
#[test]
fn stacks_with_pages_that_are_not_there() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w57_holes", &[])?.options(&["--freq", "999"]).passes()?;
    cpu_times(&traced, &["in_main", "in_thread"])?;
    let map = traced.map()?;
    ensure!(map.nested("main", "in_main"), "in_main is not under main, which called it");
    ensure!(map.nested("in_main", "burn") && map.nested("in_thread", "burn"), "burn is not under its callers");
    ensure!(!map.warnings().contains("truncated"), "{}", map.warnings());
    Ok(())
}

fn multiprocessing(how: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w23_threads", &[how])?.options(&["--freq", "999"]).passes()?;
    cpu_times(&traced, &["child_long", "child_short", "pool_task"])?;
    shares_stay_below_the_whole(&traced)?;
    let map = traced.map()?;
    ensure!(map.nested("run_processes", "child_long"), "child_long is not under run_processes, which waited for it");
    ensure!(map.nested("run_pool", "pool_task"), "pool_task is not under run_pool, which waited for it");
    Ok(())
}

#[test]
fn multiprocessing_by_fork() -> Result<()> {
    multiprocessing("mp-fork")
}

#[test]
fn multiprocessing_by_spawn() -> Result<()> {
    multiprocessing("mp-spawn")
}
