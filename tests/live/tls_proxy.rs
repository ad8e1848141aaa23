//! nginx that ends TLS for its clients and speaks it to a service behind: counts against its own access logs, as one of the
//! traced services and as the only one that is watched.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, Truth, places, turn, workload};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use crate::{attach::Watching, http};

fn traced(shape: &str) -> Result<Traced> {
    let traced = Trace::workload("w51_tls_proxy", &[shape])?.passes()?;
    http::exact(&traced)?;
    Ok(traced)
}

/// Kept and new connections, bodies of many records both ways, and what waits for whom through both TLS hops.
#[test]
fn ends_tls_and_starts_it() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let map = traced("python")?.map()?;
    for (outer, inner) in [("ask_edge", "nginx"), ("nginx", "do_GET")] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    Ok(())
}

#[test]
fn http2_streams_at_once() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    traced("http2").map(drop)
}

/// Clients at once on two workers.
#[test]
fn two_workers() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    traced("threads").map(drop)
}

/// Only nginx is watched, so what is counted was read at its own end of both kinds of connections.
#[test]
fn attached_to_nginx_alone() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let scratch = tempfile::tempdir().context("make a directory for the truth")?;
    let mut run = Command::new("./run");
    run.arg("attached").current_dir(workload::ready("w51_tls_proxy")?);
    run.env("PATH", places::path()?).env("TRUTH_DIR", scratch.path());
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start nginx and its client")?;
    let mut out = BufReader::new(run.stdout.take().context("no output")?).lines();
    let mut say = run.stdin.take().context("no input")?;
    let mut line = || out.next().context("nginx and its client are gone")?.context("read what they say");
    let line_one = line()?;
    let pid = line_one.split(' ').next().context("no pid")?;
    let watching = Watching::begin(&["--pid", pid])?;
    writeln!(say, "ask").context("tell the client")?;
    ensure!(line()? == "asked");
    let watched = watching.interrupt()?;
    writeln!(say, "end").context("tell the client")?;
    ensure!(run.wait().context("wait for nginx and its client")?.success());
    let (map, truth) = (watched.map()?, Truth::in_dir(scratch.path())?);
    let served = map.json["served"].as_array().context("no list `served`")?;
    for (path, count) in truth.json["served"].as_object().context("truth without served")? {
        let of_path = |entry: &&serde_json::Value| {
            entry["endpoint"].as_str().and_then(|endpoint| endpoint.split(' ').nth(1)) == Some(path)
        };
        let entry = served.iter().find(of_path).with_context(|| format!("{path} was not served: {served:?}"))?;
        ensure!(entry["count"] == *count && entry["counted"] == "exact", "{path}: {entry}, nginx logged {count}");
    }
    let behind = truth.json["http"]["peers"].as_array().context("truth without http.peers")?;
    for want in behind.iter().filter(|want| want["service"] != "edge") {
        let number = |key: &str| want[key].as_u64().unwrap_or(u64::MAX);
        let (round_trips, connections, failed, counted) = map.peer(number("port"))?;
        ensure!(
            (round_trips, connections, failed, counted.as_str())
                == (number("round_trips"), number("connections"), 0, "exact"),
            "{round_trips} round trips on {connections} connections, {failed} failed, {counted}; truth {want}"
        );
    }
    Ok(())
}
