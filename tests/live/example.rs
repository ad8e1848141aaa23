//! The specification's own example, and perfmap's own copy of it without Python.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, places, turn, workload};

#[test]
fn pytest_example_passes_its_check() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.with_baseline().passes()?;
    traced.check("schema,baseline,functions,location,class,top,http,edges")?;
    traced.owns_its_time()
}

/// Nothing may depend on today's numbers. Twenty calls, so that they outweigh the test runner's own work on a machine
/// where nothing of it is cached.
#[test]
fn pytest_example_with_another_count() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.env("W01_SEGMENTS", "20").passes()?;
    traced.check("schema,functions,location,class,http")?;
    // The loop that tries to connect sleeps, but what it waits for is the service's start.
    let map = traced.map()?;
    let imports = map.of("<module>").any(|step| step.above.last().is_some_and(|above| above.ends_with("wait_port")));
    ensure!(imports, "what api did before it listened is not under wait_port");
    let slept: f64 = map.outermost("wait_port").filter_map(|step| step.wait_ms.get("sleep")).sum();
    ensure!(slept < map.wall_of("wait_port") / 4.0, "wait_port slept {slept:.0} ms of {:.0}", map.wall_of("wait_port"));
    Ok(())
}

/// The wakes come in interrupts: nobody is seen to end a wait, and answers are read before their senders return.
#[test]
fn pytest_example_over_a_network_that_interrupts() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w01_example", &[])?.elsewhere().env("W01_SEGMENTS", "20").passes()?;
    traced.check("schema,functions,location,http,edges")?;
    let map = traced.map()?;
    for (outer, inner) in [("tikal_extract", "serve.<locals>.cpu_work"), ("mt_translate", "serve.<locals>.H.do_GET")] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    // The connection that the loop opens last is answered in an interrupt too.
    let imports = map.of("<module>").any(|step| step.above.last().is_some_and(|above| above.ends_with("wait_port")));
    ensure!(imports, "what api did before it listened is not under wait_port");
    traced.owns_its_time()
}

/// Few calls, and many: the class may differ with the machine, what lies where may not.
#[test]
fn pytest_example_with_few_and_with_many_calls() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for segments in ["5", "40"] {
        let traced = Trace::workload("w01_example", &[])?.env("W01_SEGMENTS", segments).passes()?;
        traced.check("schema,functions,location,http,edges")?;
        traced.owns_its_time()?;
    }
    Ok(())
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
    // One function writes the request and its sibling reads the answer: the call is that of both.
    let text = |key: &str| map.json[key].as_str().unwrap_or_default().to_owned();
    let (class, detail) = (text("bottleneck_classification"), text("bottleneck_detail"));
    ensure!(class == "I/O-Network", "the class is {class}: {detail}");
    let calls = |words: &str| words.starts_with("13 ") && words.contains("to mt-engine");
    let top = map.json["top_bottlenecks"].as_array().cloned().unwrap_or_default();
    let named = top.iter().any(|of| of["type"] == "I/O-Network" && of["description"].as_str().is_some_and(calls));
    ensure!(named, "the calls to mt-engine are not among {top:?}");
    // On a machine so busy that tikal's 900 ms of CPU take twice as long as all of them, that call is the detail.
    let computes = map.wall_of("tikal_extract") > 1.8 * map.wall_of("mt_translate");
    ensure!(calls(&detail) || computes, "the detail is {detail}");
    for step in map.of("post").filter(|step| step.kind.as_deref() == Some("http_call")) {
        ensure!(step.above.last().is_none_or(|above| !above.ends_with("send")), "a call below {:?}", step.above);
    }
    ensure!(map.of("post").map(|step| step.http_round_trips).sum::<u64>() > 13, "post makes the calls");
    traced.owns_its_time()
}
