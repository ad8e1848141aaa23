//! Names looked up by the C library's resolver: questions and answers as the name server counts them, in `peers` alone; the
//! time is a wait for the network.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};

#[test]
fn questions_of_the_resolver() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w35_names", &[])?.passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let names = &truth.json["names"];
    let number = |key: &str| names[key].as_u64().with_context(|| format!("truth without {key}"));
    let (asked, answered) = (number("asked")?, number("answered")?);
    let peers = map.json["peers"].as_array().context("no list of peers")?;
    // Over UDP and over TCP.
    let servers: Vec<_> = peers.iter().filter(|peer| peer["protocol"] == "dns").collect();
    let sum = |key: &str| servers.iter().filter_map(|peer| peer[key].as_u64()).sum::<u64>();
    // A question that was asked again leaves one without an answer.
    let found = (sum("round_trips"), sum("failed"));
    ensure!(found == (answered, asked - answered), "{found:?}, the server: {names}; {peers:?}");
    ensure!(servers.len() == 2, "{servers:?}");
    ensure!(servers.iter().all(|peer| peer["counted"] == "exact"), "{servers:?}");
    // No HTTP, no database.
    for name in ["look_up", "look_up_large", "look_up_nothing", "look_up_late"] {
        let step = map.of(name).next().with_context(|| format!("no step of {name}"))?;
        ensure!((step.http_round_trips, step.db_round_trips) == (0, 0), "{name}: {step:?}");
        ensure!(step.kind.as_deref() == Some("function_call"), "{name} is a {:?}", step.kind);
    }
    for name in ["look_up", "look_up_late"] {
        let waited = map.outermost(name).filter_map(|step| step.wait_ms.get("network")).fold(0.0, |a, b| a + b);
        let measured = truth.function(name)?;
        let off = measured.wall_ms - measured.cpu_ms;
        // The server is a part of the tree: what it computes is its own.
        let least = if name == "look_up_late" { 0.0 } else { 0.3 * off };
        ensure!(waited >= least, "{name} waited {waited:.0} ms for the network, was off the CPU for {off:.0} ms");
    }
    traced.owns_its_time()
}
