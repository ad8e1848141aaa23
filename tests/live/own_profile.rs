//! A program's own profiles (Go's net/http/pprof) beside what perfmap sees of it.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use perfmap::recording::OwnKind;
use perfmap_tests::{Trace, recorded, turn, workload};

const POINTS: f64 = 3.0;

/// Half width of the 99.7 % interval of a share among so many samples, in points: Go's profiler takes a hundred a second.
fn luck(share_pct: f64, samples: f64) -> f64 {
    3.0 * (share_pct * (100.0 - share_pct) / samples.max(1.0)).sqrt()
}

/// Its CPU time by function, how long goroutines were blocked, and which process it is: as the program itself measured it.
#[test]
fn a_go_server_tells_of_itself() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !workload::ready("w90_own_profile")?.join("bin/own").is_file() {
        eprintln!("SKIPPED: no go on this machine to build the program with");
        return Ok(());
    }
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let url = |kind: &str| format!("http://127.0.0.1:{port}/debug/pprof/{kind}");
    let nobody = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let traced = Trace::workload("w90_own_profile", &[])?
        .options(&["--pprof", &url("profile"), "--pprof", &url("block"), "--pprof", &url("none")])
        .options(&["--pprof", &format!("http://127.0.0.1:{nobody}/")])
        .env("WL_PORT", port.to_string())
        .passes()?;
    traced.owns_its_time()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let own = map.json["own_profiles"].as_array().context("no own_profiles")?;
    ensure!(own.len() == 2, "two of four sources answer: {own:?}");
    for profile in own {
        let process = profile["process"].as_str().unwrap_or_default();
        ensure!(process.starts_with("own ("), "of {process:?}, not of the program: {profile}");
    }
    let recording = recorded::read(&traced.recording())?;
    let kind = |at: usize, name: &str| {
        let kinds = &recording.own_profiles[at].kinds;
        kinds.iter().find(|kind| kind.kind == name && kind.unit == "nanoseconds").with_context(|| format!("no {name}"))
    };
    // The functions' shares of what the three of them have together: the server's own work is beside them.
    let cpu = kind(0, "cpu")?;
    let all = |kind: &OwnKind, name: &str| {
        kind.functions.iter().filter(|one| one.name == name).map(|one| one.all as f64).sum::<f64>()
    };
    let truths = truth.functions()?;
    let together: f64 = truths.iter().map(|one| all(cpu, &one.name)).sum();
    ensure!(together > 0.0, "none of the three functions: {cpu:?}");
    for one in &truths {
        let (got, want) = (100.0 * all(cpu, &one.name) / together, one.wall_share_pct);
        let most = POINTS.max(luck(want, together / 1e7));
        ensure!((got - want).abs() <= most, "{}: {got:.1} %, truth {want:.1} %", one.name);
    }
    ensure!(own[0]["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{}", own[0]);
    // Blocked while the lock was held: in the readings' time no longer than the whole program measured.
    let waited = truth.json["waited_ms"].as_f64().context("waited_ms")?;
    let blocked = all(kind(1, "delay")?, "main.contend.func1") / 1e6;
    ensure!(blocked > 0.0 && blocked <= waited * 1.05, "{blocked:.1} ms blocked of {waited:.1} ms");
    let warnings = map.warnings();
    ensure!(warnings.contains("/debug/pprof/none: nothing more: status 404"), "{warnings}");
    ensure!(warnings.contains(&format!("127.0.0.1:{nobody}/: nothing more: no connection")), "{warnings}");
    // The program's requests to itself; perfmap's own are no one's of the tree.
    let answered = truth.json["answered"].as_u64().context("answered")?;
    let trips: u64 = map.json["peers"].as_array().into_iter().flatten().filter_map(|p| p["round_trips"].as_u64()).sum();
    ensure!(trips == answered, "{trips} round trips, the server answered {answered}");
    ensure!(traced.words().contains("tells of itself"), "not on the terminal:\n{}", traced.words());
    Ok(())
}
