//! Services behind services: each one's time, calls and functions under the call that waited for them.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};

/// A client, nginx, a threaded server behind it and another one behind that.
#[test]
fn three_services_deep() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w40_proxy", &[])?.passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for want in truth.json["http"]["peers"].as_array().context("truth without http.peers")? {
        let (port, trips) = (want["port"].as_u64().context("a port")?, want["round_trips"].as_u64());
        let (round_trips, _, failed, counted) = map.peer(port)?;
        ensure!(Some(round_trips) == trips, "{}: {round_trips} round trips, truth {trips:?}", want["service"]);
        ensure!((failed, counted.as_str()) == (0, "exact"), "{}: {failed} failed, {counted}", want["service"]);
    }
    for (outer, inner) in [
        ("load_pages", "nginx"),
        ("nginx", "do_GET"),
        ("do_GET", "look_up"),
        ("look_up", "scan_rows"),
        ("do_GET", "render_page"),
    ] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    for function in truth.functions()? {
        let (found, true_ms) = (map.wall_of(&function.name), function.wall_ms);
        ensure!((found - true_ms).abs() <= true_ms * 0.1, "{}: {found:.0} ms, truth {true_ms:.0} ms", function.name);
    }
    // What a step caused includes what those behind it caused: each page is asked for at three services.
    for (function, trips) in [("load_pages", 36), ("nginx", 24), ("look_up", 12)] {
        ensure!(map.round_trips(function) == trips, "{function} made {}", map.round_trips(function));
    }
    traced.owns_its_time()
}
