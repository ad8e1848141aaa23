//! What a database does for a client, below the call that asked it: computing, sleeping, waiting for a lock that another
//! session holds.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, Truth, turn};
use serde_json::Value;

fn step<'a>(steps: &'a Value, wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    steps.as_array()?.iter().find_map(|of| if wanted(of) { Some(of) } else { step(&of["children"], wanted) })
}

/// The step of a function, or of a client's that it calls, which made the round trips.
fn call<'a>(map: &'a Map, function: &str) -> Result<&'a Value> {
    let of = step(&map.json["steps"], &|of| of["function"] == function).with_context(|| format!("no {function}"))?;
    let calls = |of: &Value| of["type"] == "db_query" || of["type"] == "cache_op";
    let one = Value::Array(vec![of.clone()]);
    ensure!(step(&one, &calls).is_some(), "{function} makes no call");
    step(&map.json["steps"], &|found| found["function"] == function).context("a step")
}

/// Of all steps of the service below the function that asked it, outermost only.
fn below(of: &Value, service: &str, found: &mut Vec<Value>) {
    for child in of["children"].as_array().into_iter().flatten() {
        if child["service"] == service { found.push(child.clone()) } else { below(child, service, found) }
    }
}

struct Served {
    wall: f64,
    cpu: f64,
    lock: f64,
    sleep: f64,
}

fn served(map: &Map, function: &str, service: &str) -> Result<Served> {
    let mut found = Vec::new();
    below(call(map, function)?, service, &mut found);
    ensure!(!found.is_empty(), "nothing of {service} lies below {function}: {}", call(map, function)?);
    let sum = |of: &dyn Fn(&Value) -> &Value| found.iter().filter_map(|step| of(step).as_f64()).sum::<f64>();
    let waited = |cause: &'static str| sum(&move |step| &step["wait_ms"][cause]);
    Ok(Served {
        wall: sum(&|step| &step["wall_time_ms"]),
        cpu: sum(&|step| &step["cpu_time_ms"]),
        lock: waited("lock"),
        sleep: waited("sleep"),
    })
}

/// What the program measured of its own call: so long it was neither on a CPU nor waiting for one.
fn off(truth: &Truth, function: &str) -> Result<f64> {
    let of = truth.function(function)?;
    let queued =
        truth.json["served"][function]["queued_ms"].as_f64().context("truth without the client's run queue")?;
    Ok(of.wall_ms - of.cpu_ms - queued)
}

/// What the kernel says of the server's CPU time, within a tenth or 25 ms; and what the client waited is the server's.
fn computes(traced: &Traced, function: &str, service: &str) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let found = served(&map, function, service)?;
    let cpu = truth.json["served"][function]["cpu_ms"].as_f64().context("truth without the server's CPU time")?;
    ensure!((found.cpu - cpu).abs() <= (cpu * 0.1).max(25.0), "{function}: {:.1} ms of CPU, truth {cpu:.1}", found.cpu);
    let off = off(&truth, function)?;
    ensure!(found.wall >= off * 0.9, "{function}: {:.1} of {off:.1} ms are the server's", found.wall);
    Ok(())
}

fn sleeps(traced: &Traced, function: &str, service: &str) -> Result<()> {
    let found = served(&traced.map()?, function, service)?;
    ensure!(found.sleep >= 0.9 * 300.0, "{function}: {:.1} ms of 300 slept by the server", found.sleep);
    Ok(())
}

/// Another session held the row for 400 ms: so long the server waited for a lock.
fn waits_for_a_row(traced: &Traced, service: &str) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let found = served(&map, "change_row", service)?;
    let functions = truth.functions()?;
    let held = functions.iter().find(|of| of.name == "hold_row").context("truth without hold_row")?.wall_ms;
    ensure!(
        found.lock >= 0.9 * held,
        "change_row: {:.1} ms of {held:.1} waited for the row:\n{}",
        found.lock,
        traced.words()
    );
    ensure!(found.cpu < 0.1 * held, "change_row: {:.1} ms of CPU", found.cpu);
    Ok(())
}

/// The client waits for its database, whatever that does.
fn stays_a_query(traced: &Traced, function: &str) -> Result<()> {
    let map = traced.map()?;
    let off = off(&traced.truth()?, function)?;
    let db = call(&map, function)?["wait_ms"]["db"].as_f64().unwrap_or(0.0);
    ensure!(db >= 0.9 * off, "{function} waited {db:.1} of {off:.1} ms for its database");
    Ok(())
}

#[test]
fn inside_of_postgres() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w48_backends", &["postgres"])?.options(&["--freq", "499"]).passes()?;
    computes(&traced, "count_numbers", "postgres")?;
    sleeps(&traced, "nap", "postgres")?;
    waits_for_a_row(&traced, "postgres")?;
    for function in ["count_numbers", "nap", "change_row"] {
        stays_a_query(&traced, function)?;
    }
    // Its own functions, which Debian's build exports.
    let map = traced.map()?;
    for (outer, inner) in [("nap", "pg_sleep"), ("change_row", "ProcSleep")] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}:\n{}", traced.words());
    }
    // Of a chain of functions that only call one another the last is shown, so that which of them is left to the samples.
    let counts = Value::Array(vec![call(&map, "count_numbers")?.clone()]);
    let executes = |of: &Value| {
        let name = of["function"].as_str().unwrap_or_default();
        of["service"] == "postgres"
            && ["Exec", "standard_Executor", "tuplestore_", "generate_series"]
                .iter()
                .any(|start| name.starts_with(start))
    };
    ensure!(step(&counts, &executes).is_some(), "nothing of the executor is under count_numbers:\n{}", traced.words());
    let class = map.json["bottleneck_classification"].as_str();
    ensure!(matches!(class, Some("I/O-DB" | "Infrastructure")), "the class is {class:?}:\n{}", traced.words());
    traced.owns_its_time()
}

#[test]
fn inside_of_mariadb() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w48_backends", &["mariadb"])?.options(&["--freq", "499"]).passes()?;
    computes(&traced, "add_numbers", "mariadbd")?;
    sleeps(&traced, "doze", "mariadbd")?;
    waits_for_a_row(&traced, "mariadbd")?;
    traced.owns_its_time()
}

#[test]
fn inside_of_redis() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w48_backends", &["redis"])?.options(&["--freq", "499"]).passes()?;
    computes(&traced, "run_script", "redis-server")?;
    stays_a_query(&traced, "wait_for_item")?;
    traced.owns_its_time()
}
