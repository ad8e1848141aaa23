//! The specification's own example, and perfmap's own copy of it without Python.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, places, turn, workload};

#[test]
fn pytest_example_passes_its_check() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.with_baseline().passes()?;
    traced.check("schema,baseline,functions,location,class,top,http")?;
    traced.owns_its_time()
}

/// Nothing may depend on today's numbers. Twenty calls, so that they outweigh the test runner's own work on a machine
/// where nothing of it is cached.
#[test]
fn pytest_example_with_another_count() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.env("W01_SEGMENTS", "20").passes()?;
    traced.check("schema,functions,location,class,http")
}

/// As a person types it: `uv run pytest …`, no script in between.
#[test]
fn uv_run_as_typed() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = workload::ready("w01_example")?;
    let words = ["uv", "run", "--frozen", "pytest", "tests/e2e/test_example.py", "-s", "-q", "-p", "no:cacheprovider"];
    let traced = Trace::command(words).dir(dir).option("--no-baseline").passes()?;
    traced.check("schema,functions,location,http")
}

#[test]
fn built_in_example() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let perfmap = places::perfmap()?;
    let words = [perfmap.into_os_string(), "play".into(), "example".into()];
    let traced = Trace::command(words).dir(places::root()).option("--no-baseline").passes()?;
    let map = traced.map()?;
    for (outer, inner) in [
        ("process_job", "translate_binary"),
        ("translate_binary", "tikal_extract"),
        ("translate_binary", "mt_translate"),
        ("translate_binary", "merge_segments"),
    ] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    ensure!(map.round_trips("mt_translate") == 13, "mt_translate: {} round trips", map.round_trips("mt_translate"));
    ensure!(map.round_trips("tikal_extract") == 1, "tikal_extract: {} round trips", map.round_trips("tikal_extract"));
    ensure!(map.wall_of("mt_translate") >= 13.0 * 120.0, "mt_translate lasted {:.0} ms", map.wall_of("mt_translate"));
    traced.owns_its_time()
}
