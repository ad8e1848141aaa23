//! Go: what goroutines wait for that no thread runs, below the functions that wait.

use anyhow::{Context, Result, ensure};
use perfmap::correlate;
use perfmap_tests::{Map, Trace, Traced, Truth, recorded, turn, workload};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::attach::{Watching, entry};

/// None: it was not built, without go or a C compiler.
fn built(program: &str) -> Result<Option<PathBuf>> {
    let program = workload::ready("w62_go_netpoll")?.join("bin").join(program);
    if !program.is_file() {
        eprintln!("SKIPPED: no go on this machine to build the program with");
        return Ok(None);
    }
    Ok(Some(program))
}

/// `program`: which of them has to be there for the variant.
fn traced(program: &str, variant: &str) -> Result<Option<Traced>> {
    if built(program)?.is_none() {
        return Ok(None);
    }
    // The libraries' probes are there before the first request only where an earlier run met them.
    let options = ["--freq", "999", "--runs", "1", "--warmup", "0"];
    let traced = Trace::workload("w62_go_netpoll", &[variant])?.with_baseline().options(&options).passes()?;
    traced.owns_its_time()?;
    Ok(Some(traced))
}

fn name(function: &str) -> String {
    format!("main.{function}")
}

/// Within a tenth, or what goroutines do unseen between two looks.
fn owns(map: &Map, truth: &Truth, function: &str) -> Result<()> {
    let (got, want) = (map.wall_of(&name(function)), truth.function(function)?.wall_ms);
    ensure!((got - want).abs() <= (want * 0.1).max(40.0), "{function}: {got:.0} ms, it took {want:.0} ms");
    Ok(())
}

/// Functions and who waited for whom, of a program that was linked in one or another way.
fn waits(program: &str, variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(traced) = traced(program, variant)? else { return Ok(()) };
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["oneAfterAnother", "nap", "atOnce", "compute", "consume"] {
        owns(&map, &truth, function)?;
    }
    // What follows it in C has no function of Go's on its stack, and is shown where the goroutine was before.
    if variant != "cgo" {
        owns(&map, &truth, "contend")?;
    }
    for (outer, inner) in [
        // Below the client's call what the server's function did for it.
        ("oneAfterAnother", "fetch"),
        ("fetch", "answerTimer"),
        ("answerTimer", "pause"),
        // Goroutines that a group waited for, a channel's other end, who held the mutex.
        ("atOnce", "fetchSlow"),
        ("fetchSlow", "answerSlow"),
        ("consume", "makeOne"),
    ] {
        ensure!(map.nested(&name(outer), &name(inner)), "{inner} is not under {outer}, which waited for it");
    }
    // In a program with C who held the mutex is not told.
    ensure!(variant == "cgo" || map.nested(&name("contend"), &name("hold")), "hold is not under contend");
    counts(&map)?;
    let (got, want) = (map.round_trips("main.main"), 23);
    ensure!(got == want, "{got} round trips of {want} below main");
    for function in ["nap", "pause", "makeOne"] {
        let slept: f64 = map.of(&name(function)).filter_map(|step| step.wait_ms.get("sleep")).sum();
        let want = map.wall_of(&name(function));
        ensure!(slept >= want * 0.9, "{function} slept for {want:.0} ms: {slept:.0} ms are called a sleep");
    }
    ensure!(!traced.words().contains("goroutines"), "all of it was told:\n{}", traced.words());
    Ok(())
}

fn counts(map: &Map) -> Result<()> {
    for (function, want) in [("main.oneAfterAnother", 10), ("main.atOnce", 12)] {
        let got = map.round_trips(function);
        ensure!(got == want, "{got} round trips of {want} below {function}");
    }
    Ok(())
}

#[test]
fn waits_of_goroutines() -> Result<()> {
    waits("waits", "client")
}

/// As distributions build them: the program lies anywhere, and the dynamic linker starts it.
#[test]
fn waits_in_a_program_that_lies_anywhere() -> Result<()> {
    waits("waits_pie", "pie")
}

/// C beside Go: unwinding rules for one of them only, and threads that the C library makes.
#[test]
fn waits_beside_c() -> Result<()> {
    waits("waits_cgo", "cgo")
}

/// HTTP/2 over TLS: many requests on one connection, each handed over to a goroutine of its own.
#[test]
fn requests_on_one_connection_at_once() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(traced) = traced("waits", "streams")? else { return Ok(()) };
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["oneAfterAnother", "nap", "atOnce"] {
        owns(&map, &truth, function)?;
    }
    let peers = map.json["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let counted: Vec<_> = peers.iter().filter_map(|peer| peer["round_trips"].as_u64()).collect();
    ensure!(counted == [23], "{counted:?} round trips, not 23 with one peer");
    // Of answers that are under way together it is not certain whose the server's time is.
    for (outer, inner) in [("oneAfterAnother", "fetch"), ("fetch", "answerTimer")] {
        ensure!(map.nested(&name(outer), &name(inner)), "{inner} is not under {outer}, which waited for it");
    }
    counts(&map)
}

/// Calls of a connection that a goroutine of its own writes for: counted, named, and below the functions that made them.
/// `named`: how each of them is called, with the number of its answer and whether that was an error.
fn calls(variant: &str, named: [(&str, u16, bool); 3]) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(traced) = traced("rpc", variant)? else { return Ok(()) };
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["inTurn", "callTimer", "atOnce", "callSlow"] {
        owns(&map, &truth, function)?;
    }
    for (function, want) in [("inTurn", 10), ("atOnce", 12), ("callMissing", 1)] {
        let got = map.round_trips(&name(function));
        ensure!(got == want, "{got} round trips of {want} below {function}");
    }
    ensure!(
        map.nested("main.callTimer", "main.answerTimer"),
        "answerTimer is not under callTimer, which waited for it"
    );
    let trips = correlate::correlate(&recorded::read(&traced.recording())?).flows.round_trips;
    for ((route, status, failed), want) in named.into_iter().zip([10, 12, 1]) {
        let alike = trips.iter().filter(|trip| {
            let fails = trip.refused || trip.status.is_some_and(|status| status >= 400);
            trip.route.as_deref() == Some(route) && trip.status == Some(status) && fails == failed
        });
        ensure!(alike.count() == want, "not {want} calls of {route} with {status}: {trips:?}");
    }
    ensure!(trips.len() == 23, "{} round trips, not 23", trips.len());
    Ok(())
}

#[test]
fn calls_of_grpc() -> Result<()> {
    let named = [("Timer", 0, false), ("Slow", 0, false), ("Missing", 5, true)];
    let named = named.map(|(method, status, failed)| (format!("/pauses.Pauses/{method}"), status, failed));
    calls("grpc", named.each_ref().map(|(route, status, failed)| (route.as_str(), *status, *failed)))
}

/// HTTP/2 that both sides know of beforehand.
#[test]
fn requests_of_http2_without_tls() -> Result<()> {
    calls("h2c", [("/Timer", 200, false), ("/Slow", 200, false), ("/Missing", 404, true)])
}

/// One request on the connection, its answer read whole: that is the path's own word.
fn ask(connection: &mut TcpStream, path: &str) -> Result<()> {
    write!(connection, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").context("ask")?;
    let (mut answer, mut part) = (Vec::new(), [0; 512]);
    while !answer.ends_with(&path.as_bytes()[1..]) {
        let read = connection.read(&mut part).context("read the answer")?;
        ensure!(read > 0, "{path}: the answer ends after {} bytes", answer.len());
        answer.extend_from_slice(&part[..read]);
    }
    Ok(())
}

/// Requests on a connection that is kept, and on new ones: counted by route, and below each route what its handler did, by the
/// server's own clock.
#[test]
fn a_server_that_runs_already() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(program) = built("waits")? else { return Ok(()) };
    let mut server = Command::new(program);
    let mut server =
        server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the server")?;
    let mut told = BufReader::new(server.stdout.take().context("no standard output")?);
    let mut address = String::new();
    told.read_line(&mut address).context("read the address")?;
    let address = address.trim().trim_start_matches("http://");
    let watching = Watching::begin(&["--pid", &server.id().to_string()])?;
    let connect = || TcpStream::connect(address).context("connect");
    let mut kept = connect()?;
    for path in ["/timer", "/timer", "/timer", "/timer", "/timer", "/slow", "/slow"] {
        ask(&mut kept, path)?;
    }
    for _ in 0..3 {
        ask(&mut connect()?, "/timer")?;
    }
    let map = watching.interrupt()?.map()?;
    drop(server.stdin.take());
    let truth: Vec<Value> = serde_json::from_reader(told).context("what the server measured")?;
    ensure!(server.wait().context("wait for the server")?.success(), "the server failed");
    for (path, function, count) in [("/timer", "answerTimer", 8), ("/slow", "answerSlow", 2)] {
        let endpoint = format!("GET {path}");
        let entry = entry(&map, &endpoint)?;
        ensure!(entry["count"] == count && entry["counted"] == "exact", "{endpoint}: {entry}, asked {count} times");
        let want = truth.iter().find(|own| own["function"] == function).and_then(|own| own["wall_ms"].as_f64());
        let want = want.with_context(|| format!("no truth of {function}"))?;
        let own = name(function);
        let below = map.of(&own).filter(|step| step.above.contains(&endpoint));
        let got: f64 = below.map(|step| step.wall_ms).sum();
        ensure!((got - want).abs() <= want * 0.1 + 10.0, "{function} under {endpoint}: {got:.0} of {want:.0} ms");
    }
    Ok(())
}

/// Without symbols and debug information: functions and files from the table that the program keeps for itself.
#[test]
fn split_of_a_stripped_program() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !workload::ready("w92_go_stripped")?.join("bin/stripped").is_file() {
        eprintln!("SKIPPED: no go on this machine to build the program with");
        return Ok(());
    }
    let traced = Trace::workload("w92_go_stripped", &[])?.options(&["--freq", "999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in truth.functions()? {
        let (full, want) = (name(&function.name), function.wall_share_pct);
        let share = map.share(&full);
        ensure!((share - want).abs() <= 3.0, "{full}: {share:.1} %, it had {want:.1} %");
        ensure!(map.nested("main.main", &full), "{full} is not under main.main");
        let placed = map.of(&full).all(|step| step.location.as_ref().is_some_and(|at| at.contains("main.go:")));
        ensure!(placed, "{full} has no line");
    }
    traced.owns_its_time()
}
