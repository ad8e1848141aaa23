//! Event loops of other runtimes than asyncio: what their polls wait for, found through the descriptors that became ready.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, Truth, turn, workload};

fn traced(workload: &str, variant: &str) -> Result<Traced> {
    passes(Trace::workload(workload, &[variant])?)
}

/// The event loop's probes are there before the first request only where an earlier run met its library.
fn traced_again(workload: &str, variant: &str) -> Result<Traced> {
    passes(Trace::workload(workload, &[variant])?.with_baseline().options(&["--runs", "1", "--warmup", "0"]))
}

fn passes(trace: Trace) -> Result<Traced> {
    let traced = trace.options(&["--freq", "999"]).passes()?;
    traced.owns_its_time()?;
    Ok(traced)
}

/// Node's start is a storm, and on a busy machine its events can find no room, which is said. Then once more.
fn traced_whole(workload: &str, variant: &str) -> Result<Traced> {
    let mut last = traced_again(workload, variant)?;
    for _ in 0..2 {
        if !losses_said(&last.map()?) {
            break;
        }
        eprintln!("AGAIN: {workload} {variant} lost events on this busy machine");
        last = traced_again(workload, variant)?;
    }
    Ok(last)
}

/// What functions own together, against what the program measured of one of them.
fn owns(map: &Map, truth: &Truth, functions: &[&str], measured: &str) -> Result<()> {
    let got: f64 = functions.iter().map(|function| map.wall_of(function)).sum();
    let want = truth.function(measured)?.wall_ms;
    ensure!((got - want).abs() <= (want * 0.15).max(30.0), "{functions:?}: {got:.0} ms, {measured} took {want:.0} ms");
    Ok(())
}

fn under(map: &Map, outer: &str, inner: &str) -> Result<()> {
    let places = || map.of(inner).map(|step| step.above.join(" > ")).collect::<Vec<_>>().join("; ");
    ensure!(map.nested(outer, inner), "{inner} is not under {outer}, which waited for it, but under {}", places());
    Ok(())
}

/// Nothing of a runtime's own counts as the project's.
fn only_own_files(map: &Map) -> Result<()> {
    let foreign = map.steps.iter().find(|step| step.location.as_deref().is_some_and(|at| at.contains("node:")));
    ensure!(foreign.is_none(), "{foreign:?} is no function of the project");
    Ok(())
}

fn has_node() -> bool {
    let there = perfmap_tests::places::program("node").is_some();
    if !there {
        eprintln!("SKIPPED: no node in the PATH");
    }
    there
}

fn tokio(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("w44_tokio", variant)?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["one_after_another", "fetch_timer", "joined", "worker", "hog", "beside_hog"] {
        owns(&map, &truth, &[function], function)?;
    }
    // Two that overlap: each millisecond has one owner. What computes owns the loop, the request beside it the rest.
    owns(&map, &truth, &["left", "right"], "joined")?;
    owns(&map, &truth, &["hog", "fetch_behind"], "beside_hog")?;
    for (outer, inner) in [
        ("main", "one_after_another"),
        ("one_after_another", "answer_timer"),
        ("joined", "left"),
        ("right", "answer_slow"),
        // A task of its own: the runtime's thread waits for it.
        ("main", "worker"),
        ("worker", "answer_slow"),
    ] {
        under(&map, outer, inner)?;
    }
    let (got, want) = (map.round_trips("main"), 55);
    ensure!(got == want, "{got} round trips of {want} below main");
    // A timer alone makes no system call: who polled it waits for it.
    owns(&map, &truth, &["nap"], "nap")?;
    under(&map, "phases", "nap")?;
    let slept: f64 = map.of("nap").filter_map(|step| step.wait_ms.get("sleep")).sum();
    let want = map.wall_of("nap");
    ensure!(slept >= want * 0.8, "nap waited for {want:.0} ms: {slept:.0} ms are called a sleep");
    Ok(())
}

#[test]
fn tokio_with_one_thread() -> Result<()> {
    tokio("current")
}

#[test]
fn tokio_with_several_threads() -> Result<()> {
    tokio("multi")
}

/// The usual libraries on asyncio's loop: each coroutine, also those that ran at once.
fn python(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("w45_pyloops", variant)?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["phase_at_once", "phase_in_turn", "phase_mixed", "phase_blocked", "fetch_slow", "worker", "hog"] {
        owns(&map, &truth, &[function], function)?;
    }
    owns(&map, &truth, &["nap"], "nap")?;
    owns(&map, &truth, &["fetch_a", "fetch_b"], "phase_mixed")?;
    for (outer, inner) in [
        ("phase_at_once", "worker"),
        ("phase_in_turn", "answer_slow"),
        ("phase_mixed", "fetch_a"),
        ("fetch_a", "answer_timer"),
        ("phase_blocked", "hog"),
        ("phase_blocked", "fetch_behind"),
    ] {
        under(&map, outer, inner)?;
    }
    // One with each of six connections, and then each phase's.
    let (got, want) = (map.round_trips("main"), 6 + 30 + 4 + 6 + 2 + 2);
    ensure!(got == want, "{got} round trips of {want} below main");
    Ok(())
}

#[test]
fn httpx_over_tls() -> Result<()> {
    python("httpx")
}

#[test]
fn aiohttp_client_and_server() -> Result<()> {
    python("aiohttp")
}

/// uvloop's queue is not read: the loop's main coroutine owns its polls, where it waits; where it waits for others, the one
/// whose request is answered next.
#[test]
fn uvloop() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("w45_pyloops", "uvloop")?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["phase_at_once", "phase_in_turn", "phase_mixed", "phase_blocked", "fetch_slow", "hog", "nap"] {
        owns(&map, &truth, &[function], function)?;
    }
    // What the loop did between their requests is not theirs.
    for (functions, measured) in [(vec!["worker"], "worker"), (vec!["fetch_a", "fetch_b"], "phase_mixed")] {
        let got: f64 = functions.iter().map(|function| map.wall_of(function)).sum();
        let want = truth.function(measured)?.wall_ms;
        ensure!(
            got >= want * 0.5 && got <= want * 1.1 + 20.0,
            "{functions:?}: {got:.0} ms, {measured} took {want:.0} ms"
        );
    }
    for (outer, inner) in [
        ("phase_at_once", "worker"),
        ("worker", "application"),
        ("phase_mixed", "fetch_a"),
        ("fetch_slow", "application"),
        ("phase_blocked", "hog"),
        ("phases", "nap"),
    ] {
        under(&map, outer, inner)?;
    }
    Ok(())
}

fn node_fetch(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !has_node() {
        return Ok(());
    }
    let traced = traced_whole("w43_node", variant)?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    only_own_files(&map)?;
    // Without what Node itself computes before an answer reaches the function, and where it had to open another connection
    // without the requests that it sent on that by itself.
    for (functions, measured, least) in [
        (vec!["hog"], "hog", 0.7),
        (vec!["fetchTimer"], "fetchTimer", 0.5),
        (vec!["worker"], "worker", 0.5),
        (vec!["hog", "fetchBehind"], "besideCallback", 0.6),
    ] {
        let got: f64 = functions.iter().map(|function| map.wall_of(function)).sum();
        let want = truth.function(measured)?.wall_ms;
        ensure!(
            got >= want * least && got <= want * 1.1 + 20.0,
            "{functions:?}: {got:.0} ms, {measured} took {want:.0} ms"
        );
    }
    for (outer, inner) in [("fetchTimer", "answer_timer"), ("fetchSlow", "answer_slow"), ("worker", "fetchSlow")] {
        under(&map, outer, inner)?;
    }
    Ok(())
}

#[test]
fn node_fetches() -> Result<()> {
    node_fetch("fetch")
}

#[test]
fn node_fetches_over_tls() -> Result<()> {
    node_fetch("tls")
}

/// Node's http module sends from a later tick, when none of the project's functions is on the stack.
#[test]
fn node_requests_of_its_http_module() -> Result<()> {
    node_fetch("http")
}

/// Without V8's names: what can be named is, and the rest belongs to nobody that it is not.
#[test]
fn node_without_names() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !has_node() {
        return Ok(());
    }
    let traced = traced("w43_node", "bare")?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    only_own_files(&map)?;
    let waited = truth.function("oneAfterAnother")?.wall_ms + truth.function("allAtOnce")?.wall_ms;
    let answering = map.wall_of("answer_timer") + map.wall_of("answer_slow");
    ensure!(answering >= waited * 0.7, "the server's functions own {answering:.0} of {waited:.0} ms");
    let peers = map.json["peers"].as_array().map_or(0, Vec::len);
    let exact = peers == 1 && map.json["peers"][0]["round_trips"].as_u64() == Some(60);
    ensure!(exact || losses_said(&map), "not 60 round trips to one of {peers} peers: {}", map.warnings());
    Ok(())
}

/// What was not seen has to be said.
fn losses_said(map: &Map) -> bool {
    let losses = map.warnings();
    losses.contains("dropped") || losses.contains("thinned")
}

/// The classic client: on new connections, on kept ones, to a name, and timers.
fn node_http(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !has_node() {
        return Ok(());
    }
    let traced = traced_whole("w64_node_http", variant)?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    only_own_files(&map)?;
    // What the server waits in each answer is the least that its client does.
    let answered = |route: &str| truth.json["answered"][route].as_u64();
    for (function, trips, answer_ms) in
        [("onNewConnection", 10, 20.0), ("onKeptConnection", 6, 50.0), ("byName", 8, 20.0), ("withBody", 4, 50.0)]
    {
        let (got, most) = (map.wall_of(function), truth.function(function)?.wall_ms * 1.1 + 20.0);
        let least = trips as f64 * answer_ms * 0.9;
        ensure!((least..=most).contains(&got), "{function}: {got:.0} ms, not {least:.0} to {most:.0}");
        let counted = map.round_trips(function);
        ensure!(counted == trips || losses_said(&map), "{function}: {counted} round trips of {trips}");
    }
    // Those of each round wait together.
    let (got, most) = (map.wall_of("worker"), truth.function("worker")?.wall_ms * 1.1 + 20.0);
    ensure!((180.0..=most).contains(&got), "worker: {got:.0} ms, not 180 to {most:.0}");
    ensure!(map.round_trips("worker") == 24 || losses_said(&map), "worker: {} round trips", map.round_trips("worker"));
    let all = answered("/timer").zip(answered("/slow")).map(|(timer, slow)| timer + slow);
    ensure!(all == Some(52), "the server answered {all:?}");
    for function in ["nap", "callback"] {
        owns(&map, &truth, &[function], function)?;
    }
    for (outer, inner) in [
        ("inTurn", "onNewConnection"),
        ("inTurn", "onKeptConnection"),
        ("onNewConnection", "answer_timer"),
        ("onKeptConnection", "answer_slow"),
        ("byName", "answer_timer"),
        ("withBody", "answer_slow"),
        ("atOnce", "worker"),
        ("worker", "answer_slow"),
        ("callback", "later"),
    ] {
        under(&map, outer, inner)?;
    }
    Ok(())
}

#[test]
fn node_http_and_timers() -> Result<()> {
    node_http("http")
}

#[test]
fn node_https_and_timers() -> Result<()> {
    node_http("tls")
}

/// The command itself says that it is Node: its probes are there before it starts, also where no run was before.
#[test]
fn node_that_asks_at_once_in_its_first_run() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !has_node() {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let port = listener.local_addr().context("the listener's address")?.port().to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut asked, mut part) = (Vec::new(), [0; 512]);
            while !asked.ends_with(b"\r\n\r\n") {
                match client.read(&mut part) {
                    Ok(read) if read > 0 => asked.extend_from_slice(&part[..read]),
                    Ok(_) | Err(_) => break,
                }
            }
            thread::sleep(Duration::from_millis(20));
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    // V8 leaves a log where it runs.
    let directory = workload::ready("w64_node_http")?.join("truth");
    let command = ["node", "--perf-basic-prof", "--interpreted-frames-native-stack", "../first.mjs", &port];
    let trace = Trace::command(command).dir(directory).option("--no-baseline");
    let map = passes(trace)?.map()?;
    let got = map.round_trips("ask");
    ensure!(got == 8 || losses_said(&map), "ask: {got} round trips of 8");
    under(&map, "inTurn", "ask")
}
