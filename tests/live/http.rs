//! HTTP/1.x counted exactly, in its ordinary and its odd shapes, and in TLS.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// Round trips and connections per peer, and round trips per function, as the server counted them.
pub fn exact(traced: &Traced) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let peers = truth.json["http"]["peers"].as_array().context("truth without http.peers")?;
    for want in peers {
        let number = |key: &str| want[key].as_u64().unwrap_or(0);
        let (round_trips, connections, failed, counted) = map.peer(number("port"))?;
        let name = want["service"].as_str().unwrap_or("?");
        ensure!(
            round_trips == number("round_trips"),
            "{name}: {round_trips} round trips, truth {}",
            number("round_trips")
        );
        ensure!(
            connections == number("connections"),
            "{name}: {connections} connections, truth {}",
            number("connections")
        );
        ensure!(failed == number("failed"), "{name}: {failed} failed, truth {}", number("failed"));
        ensure!(counted == "exact", "{name} is marked {counted:?}");
    }
    for f in truth.functions()? {
        if let Some(want) = f.http_round_trips {
            let got = map.round_trips(&f.name);
            ensure!(got == want, "{}: {got} round trips, truth {want}", f.name);
        }
    }
    traced.owns_its_time()
}

fn workload(name: &str, words: &[&str]) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload(name, words)?.passes()?)
}

#[test]
fn connections_new_and_kept() -> Result<()> {
    workload("w05_http_conn", &[])
}

#[test]
fn connections_counts_follow_the_program() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload("w05_http_conn", &[])?.env("WL_N", "37").passes()?)
}

#[test]
fn baseline_counts_round_trips_too() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w05_http_conn", &[])?.with_baseline().passes()?;
    exact(&traced)?;
    traced.check("schema,baseline,functions,location,http,class")
}

#[test]
fn library_chunked() -> Result<()> {
    workload("w11_protocols", &["chunked"])
}

/// HTTP/2 over TLS, requests after one another and forty at once.
#[test]
fn library_http2() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    // The server counts connections from the handshake on, and the program looks first whether the port answers.
    let traced = Trace::workload("w11_protocols", &["h2"])?.passes()?;
    traced.check("schema,functions,location,http")?;
    traced.owns_its_time()
}

#[test]
fn library_pipelined() -> Result<()> {
    workload("w11_protocols", &["pipelined"])
}

/// Read through the library's plaintext, and under the function that made the calls.
#[test]
fn library_https() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w11_protocols", &["https"])?.passes()?;
    exact(&traced)?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let peers = truth.json["http"]["peers"].as_array().context("truth without http.peers")?;
    let secure = peers.iter().find(|peer| peer["tls"] == true).context("truth without a peer that speaks TLS")?;
    let (round_trips, _, _, counted) = map.peer(secure["port"].as_u64().context("a peer without a port")?)?;
    ensure!((round_trips, counted.as_str()) == (20, "exact"), "{round_trips} round trips, marked {counted:?}");
    let got = map.round_trips("https_calls");
    ensure!(got == 20, "https_calls: {got} of 20 round trips");
    Ok(())
}

/// Requests of another program count for the function that ran it, and for the program below it.
#[test]
fn curl_redirects() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w11_protocols", &["curl"])?.passes()?;
    exact(&traced)?;
    let map = traced.map()?;
    // Five runs, each with three redirects.
    let got = map.round_trips("curl_redirects");
    ensure!(got == 20, "curl_redirects: {got} of 20 round trips");
    ensure!(map.nested("curl_redirects", "curl"), "curl is not under the function that ran it");
    let under: u64 = map.outermost("curl").map(|step| step.http_round_trips).sum();
    ensure!(under == 20, "curl: {under} of 20 round trips");
    Ok(())
}

/// The truth of the function allows 0 or 1 there; the specification counts one, for the upgrade.
#[test]
fn library_websocket_counts_its_upgrade() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w11_protocols", &["websocket"])?.passes()?;
    let got = traced.map()?.round_trips("websocket_chat");
    ensure!(got == 1, "websocket_chat: {got} round trips");
    traced.owns_its_time()
}

#[test]
fn head_has_a_length_and_no_body() -> Result<()> {
    workload("w27_http", &["head"])
}

#[test]
fn status_204() -> Result<()> {
    workload("w27_http", &["nocontent"])
}

#[test]
fn status_304() -> Result<()> {
    workload("w27_http", &["notmodified"])
}

#[test]
fn responses_ended_by_close() -> Result<()> {
    workload("w27_http", &["close"])
}

#[test]
fn hundred_continue_is_not_a_round_trip() -> Result<()> {
    workload("w27_http", &["continue"])
}

#[test]
fn fifty_pipelined_requests_over_seven_sends() -> Result<()> {
    workload("w27_http", &["pipelined"])
}

#[test]
fn chunked_uploads() -> Result<()> {
    workload("w27_http", &["upload"])
}

#[test]
fn websocket_messages_that_look_like_requests() -> Result<()> {
    workload("w27_http", &["websocket"])
}

#[test]
fn a_request_without_an_answer_is_a_failed_one() -> Result<()> {
    workload("w27_http", &["drop"])
}

/// Nothing was sent, so nothing is a round trip, nor a failed request.
#[test]
fn refused_connects_count_nothing() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w27_http", &["connect"])?.passes()?;
    exact(&traced)?;
    for peer in traced.map()?.json["peers"].as_array().into_iter().flatten() {
        let counts = ["round_trips", "failed"].map(|key| peer[key].as_u64().unwrap_or(0));
        ensure!(counts == [0, 0], "a peer that refused has {peer}");
    }
    Ok(())
}

#[test]
fn all_shapes_in_one_run() -> Result<()> {
    workload("w27_http", &["all"])
}

#[test]
fn all_shapes_over_a_network_that_interrupts() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload("w27_http", &["all"])?.elsewhere().passes()?)
}

/// Eight threads at a time: exact as well, and not called sequential.
#[test]
fn pooled_requests_of_a_healthy_program() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w28_healthy", &["pooled"])?.passes()?;
    exact(&traced)?;
    let detail = traced.map()?.json["bottleneck_detail"].to_string();
    ensure!(!detail.contains("sequential"), "parallel calls are called sequential: {detail}");
    Ok(())
}
