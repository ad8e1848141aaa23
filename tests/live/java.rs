//! Java's event loops: java.net.http's selector on the client's side, Netty's on the server's.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, places, turn};

fn has_java() -> bool {
    let jars = std::path::Path::new("/usr/share/java/netty-transport.jar").exists();
    let there = places::program("javac").is_some() && jars;
    if !there {
        eprintln!("SKIPPED: no javac, or no Netty in /usr/share/java");
    }
    there
}

/// The selectors' time belongs to who waits for the answers, and what the server does for these lies below.
#[test]
fn selectors_of_a_client_and_of_netty() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !has_java() {
        return Ok(());
    }
    let traced = Trace::workload("w63_java_nio", &[])?.options(&["--freq", "999"]).passes()?;
    traced.owns_its_time()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["fetchTimer", "fetchCompute", "fetchBlock", "allAtOnce", "hog", "phases"] {
        let want = truth.function(function)?.wall_ms;
        // The warm-up's calls, whose code has no names yet, are in no function.
        let got = map.wall_of(&format!("Client.{function}"));
        ensure!((got - want).abs() <= (want * 0.15).max(30.0), "{function}: {got:.0} ms, it took {want:.0} ms");
    }
    // What the handlers compute and block, by their own clocks.
    for (client, handler, least) in [
        ("Client.fetchCompute", "Server.answerCompute", 6.0 * 20.0),
        ("Client.fetchBlock", "Server.answerBlock", 6.0 * 30.0),
    ] {
        ensure!(map.nested(client, handler), "{handler} is not under {client}, which waited for it");
        let got = map.wall_of(handler);
        ensure!(got >= least * 0.9 && got <= least * 1.4 + 30.0, "{handler}: {got:.0} ms, not {least:.0}");
    }
    ensure!(map.nested("Server.answerBlock", "Common.pause"), "the pause is not in the handler that makes it");
    let counts =
        truth.json["answered"].as_object().map(|counts| counts.values().filter_map(|n| n.as_u64()).sum::<u64>());
    let peers = map.json["peers"].as_array().map_or(0, Vec::len);
    let trips = map.json["peers"][0]["round_trips"].as_u64();
    ensure!(
        peers == 1 && trips == counts,
        "{trips:?} round trips to one of {peers} peers; the server answered {counts:?}"
    );
    Ok(())
}
