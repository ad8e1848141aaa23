//! HTTP/2 in clear text and gRPC counted exactly: streams one by one and at a time, errors, calls given up, upgrades.

use crate::http::exact;
use anyhow::{Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

fn http2(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload("w61_http2", &[variant])?.passes()?)
}

#[test]
fn http2_streams_one_after_the_other() -> Result<()> {
    http2("sequential")
}

#[test]
fn http2_streams_at_a_time() -> Result<()> {
    http2("concurrent")
}

/// Of 150 kB both ways, in frames that no transfer begins with.
#[test]
fn http2_large_bodies() -> Result<()> {
    http2("bodies")
}

#[test]
fn http2_errors() -> Result<()> {
    http2("errors")
}

/// The request that asked for it and those behind it, on three connections.
#[test]
fn http2_upgraded_from_http1() -> Result<()> {
    http2("upgrade")
}

/// The peer as the server counted. A call is written by the thread that made it or by one of gRPC's own, so that the
/// function's share of the calls is not promised.
fn grpc(variant: &str) -> Result<Traced> {
    let traced = Trace::workload("w60_grpc", &[variant])?.passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let want = &truth.json["http"]["peers"][0];
    let number = |key: &str| want[key].as_u64().unwrap_or(0);
    let got = map.peer(number("port"))?;
    let wanted = (number("round_trips"), number("connections"), number("failed"), "exact".to_owned());
    ensure!(got == wanted, "{got:?}, truth {wanted:?}");
    traced.owns_its_time()?;
    Ok(traced)
}

#[test]
fn grpc_unary_calls() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = grpc("unary")?;
    let map = traced.map()?;
    let calls = map.of("unary_calls").find(|step| step.kind.as_deref() == Some("grpc_call"));
    let calls = calls.map_or(0, |step| step.http_round_trips);
    ensure!(calls > 0, "unary_calls has no grpc_call among its steps");
    let yaml = map.json.to_string();
    ensure!(yaml.contains("/shop.Stock/Get"), "the method is not named");
    // Metadata is not kept.
    ensure!(!yaml.contains("s3cr3t"), "a header's value is in the output");
    let recording = std::fs::read(traced.out.join("recording.perfmap"))?;
    ensure!(!recording.windows(6).any(|bytes| bytes == b"s3cr3t"), "a header's value is in the recording");
    Ok(())
}

#[test]
fn grpc_errors_are_answers() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    grpc("errors").map(drop)
}

/// One round trip each, whatever flows in it.
#[test]
fn grpc_streams() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    grpc("streams").map(drop)
}

#[test]
fn grpc_calls_given_up_are_failed() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    grpc("cancel").map(drop)
}

#[test]
fn grpc_calls_of_eight_threads() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    grpc("threads").map(drop)
}
