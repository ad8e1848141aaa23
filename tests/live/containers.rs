//! Services in containers and network namespaces: their functions under the client's call, by name and service.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, turn};

fn traced(variant: &str) -> Result<Traced> {
    // Namespaces are root's to make.
    Trace::workload("w47_containers", &[variant])?.options(&["--as-root", "--freq", "999"]).passes()
}

/// The function lies under the client's call, and belongs to the service.
fn under(map: &Map, caller: &str, function: &str, service: Option<&str>) -> Result<()> {
    ensure!(map.nested(caller, function), "{function} is not under {caller}");
    let inside = map.of(function).find(|step| step.above.iter().any(|above| above == caller));
    let got = inside.and_then(|step| step.service.clone());
    ensure!(service.is_none() || got.as_deref() == service, "{function} is of service {got:?}, not {service:?}");
    Ok(())
}

#[test]
fn two_containers_under_runc() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("container")?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let depot = truth.json["depot"].as_str().context("truth without the container's name")?;
    under(&map, "ask_shop", "weigh_basket", Some("basket"))?;
    under(&map, "ask_depot", "pack_parcel", Some(depot))?;
    let at = |function: &str| map.of(function).next().and_then(|step| step.location.clone()).unwrap_or_default();
    ensure!(at("weigh_basket").starts_with("shop.py:"), "weigh_basket is at {:?}", at("weigh_basket"));
    ensure!(at("pack_parcel").contains("depot.c:"), "pack_parcel is at {:?}", at("pack_parcel"));
    for function in ["weigh_basket", "pack_parcel"] {
        let want = truth.json["spent_ms"][function].as_f64().with_context(|| format!("truth without {function}"))?;
        let got = map.cpu_ms(function);
        ensure!((got - want).abs() <= want * 0.2 + 10.0, "{function}: {got:.1} ms of CPU, truth {want:.1} ms");
    }
    for caller in ["ask_shop", "ask_depot"] {
        ensure!(map.round_trips(caller) == 5, "{caller}: {} round trips", map.round_trips(caller));
    }
    // Generated code has its name from a map in the container's own /tmp, under the container's own pid.
    let folded = std::fs::read_to_string(traced.out.join("profile.folded")).context("read profile.folded")?;
    ensure!(folded.contains("run_made;label_parcel"), "label_parcel has no name");
    traced.owns_its_time()
}

#[test]
fn a_unix_socket_shared_with_a_container() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("unix")?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let name = truth.json["shop"].as_str().context("truth without the container's name")?;
    under(&map, "ask_shared", "weigh_basket", Some(name))?;
    ensure!(map.round_trips("ask_shared") == 5, "{} round trips", map.round_trips("ask_shared"));
    traced.owns_its_time()
}

#[test]
fn the_same_loopback_addresses_in_two_networks() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("loopback")?;
    let map = traced.map()?;
    for (caller, own, other) in [("ask_left", "weigh_left", "weigh_right"), ("ask_right", "weigh_right", "weigh_left")]
    {
        under(&map, caller, own, None)?;
        ensure!(!map.nested(caller, other), "{other} is under {caller}");
    }
    let peers = map.json["peers"].as_array().map_or(&[][..], Vec::as_slice);
    let trips: Vec<u64> = peers.iter().filter_map(|peer| peer["round_trips"].as_u64()).filter(|n| *n > 0).collect();
    ensure!(trips == [10, 5], "round trips of the peers: {trips:?}");
    traced.owns_its_time()
}

#[test]
fn published_ports_and_masqueraded_sources() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = traced("nat")?;
    let map = traced.map()?;
    under(&map, "ask_published", "weigh_left", Some("shop"))?;
    under(&map, "ask_masqueraded", "weigh_right", Some("shop"))?;
    ensure!(!map.nested("ask_published", "weigh_right"), "the wrong service answers");
    traced.owns_its_time()
}
