//! Databases and caches: round trips as the servers themselves count them, over TCP and Unix sockets; statements without
//! their parameters.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};
use serde_json::Value;

fn peer<'a>(map: &'a Map, protocol: &str) -> Result<&'a Value> {
    let peers = map.json["peers"].as_array().context("no list of peers")?;
    peers.iter().find(|peer| peer["protocol"] == protocol).with_context(|| format!("no peer that speaks {protocol}"))
}

fn round_trips(map: &Map, function: &str) -> u64 {
    map.outermost(function).map(|step| step.db_round_trips).sum()
}

/// All that the server counted, and each function's own; nothing of a parameter anywhere.
fn exact(traced: &Traced) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let want = &truth.json["databases"];
    let protocol = want["protocol"].as_str().context("truth without a protocol")?;
    let peer = peer(&map, protocol)?;
    ensure!(
        peer["round_trips"] == want["round_trips"],
        "{protocol}: {} round trips, the server counted {}",
        peer["round_trips"],
        want["round_trips"]
    );
    ensure!(peer["counted"] == "exact", "{protocol} is marked {}", peer["counted"]);
    ensure!(peer["failed"] == 0, "{protocol}: {} failed", peer["failed"]);
    for (function, count) in want["functions"].as_object().context("truth without functions")? {
        let got = round_trips(&map, function);
        ensure!(Some(got) == count.as_u64(), "{function}: {got} round trips, truth {count}");
    }
    let written = std::fs::read_to_string(traced.map_path())?;
    ensure!(!written.contains("secret"), "a parameter is in the map");
    traced.owns_its_time()
}

fn workload(variant: &str) -> Result<Option<Traced>> {
    let Some(_turn) = turn()? else { return Ok(None) };
    let traced = Trace::workload("w33_databases", &[variant])?.passes()?;
    exact(&traced)?;
    Ok(Some(traced))
}

fn endpoint(map: &Map, function: &str) -> Result<(String, String)> {
    let step = map.of(function).next().with_context(|| format!("no step of {function}"))?;
    let found = find(&map.json["steps"], &step.id).with_context(|| format!("no step {}", step.id))?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((text("type"), text("endpoint")))
}

fn find<'a>(steps: &'a Value, id: &str) -> Option<&'a Value> {
    steps.as_array()?.iter().find_map(|step| if step["id"] == id { Some(step) } else { find(&step["children"], id) })
}

#[test]
fn postgres_statements_are_those_of_its_log() -> Result<()> {
    let Some(traced) = workload("postgres")? else { return Ok(()) };
    let map = traced.map()?;
    let expected = ("db_query".to_owned(), "select name from things where id = ?".to_owned());
    ensure!(endpoint(&map, "one_by_one")? == expected, "{:?}", endpoint(&map, "one_by_one")?);
    // Ten statements of 60 ms.
    let slow = map.of("slow").next().context("no step of slow")?;
    let waited = slow.wait_ms.get("db").copied().unwrap_or(0.0);
    ensure!(
        waited > 500.0 && waited > 0.8 * slow.wall_ms,
        "slow waited {waited} ms of {} for the database",
        slow.wall_ms
    );
    let words = traced.words();
    ensure!(words.contains("10 sequential queries to"), "not told so:\n{words}");
    Ok(())
}

#[test]
fn postgres_over_a_unix_socket() -> Result<()> {
    workload("postgres_unix").map(drop)
}

#[test]
fn statements_of_an_orm() -> Result<()> {
    workload("sqlalchemy").map(drop)
}

#[test]
fn redis_commands_and_pipelines() -> Result<()> {
    let Some(traced) = workload("redis")? else { return Ok(()) };
    let expected = ("cache_op".to_owned(), "INCRBY".to_owned());
    let found = endpoint(&traced.map()?, "pipelines")?;
    ensure!(found == expected, "{found:?}");
    Ok(())
}

#[test]
fn redis_over_a_unix_socket() -> Result<()> {
    workload("redis_unix").map(drop)
}

#[test]
fn mariadb_queries_and_result_sets() -> Result<()> {
    workload("mariadb").map(drop)
}

#[test]
fn memcached_commands_that_are_answered() -> Result<()> {
    workload("memcached").map(drop)
}

/// What the frames hold is read; most of a long answer is only measured.
#[test]
fn mariadb_over_compressed_frames() -> Result<()> {
    workload("mariadb_compressed").map(drop)
}

#[test]
fn memcached_in_binary() -> Result<()> {
    let Some(traced) = workload("memcached_binary")? else { return Ok(()) };
    let (kind, command) = endpoint(&traced.map()?, "binary_many")?;
    ensure!((kind.as_str(), command.as_str()) == ("cache_op", "noop"), "{kind} {command}");
    Ok(())
}

#[test]
fn baseline_counts_databases_too() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w33_databases", &["memcached"])?.with_baseline().passes()?;
    exact(&traced)?;
    let (counted, truth) = (traced.map()?.baseline("db_round_trips")?, traced.truth()?);
    let want = truth.json["databases"]["round_trips"].as_f64().context("truth without round trips")?;
    ensure!(counted == want, "the baseline has {counted} round trips, the server counted {want}");
    Ok(())
}
