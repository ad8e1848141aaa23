//! Services that ran before perfmap did, and that the command talks to: their own functions lie under the command's
//! calls, and they come out unharmed.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Service, Trace, Traced, places, turn, workload};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

fn trace(service: &Service) -> Result<Trace> {
    Ok(Trace::workload("w36_peers", &["calls"])?.env("PEER_PORT", &service.port))
}

/// What the handlers say they took lies under the client's functions, within a tenth or 10 ms a call. `met`: the service
/// was met on the way, and its interpreter found while it worked on the first request.
fn served(traced: &Traced, pairs: &[(&str, &str, &str, &str)], met: bool) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for (caller, inner, path, key) in pairs {
        ensure!(map.nested(caller, inner), "{inner} is not under {caller}:\n{}", traced.words());
        let want = truth.json["served"][path][key].as_f64().context("truth without the handler's time")?;
        let under = |step: &&perfmap_tests::Step| step.above.iter().any(|above| above == caller);
        let got: f64 = map.of(inner).filter(under).map(|step| step.wall_ms).sum();
        let first = truth.json["served"][path]["first"][key].as_f64().filter(|_| met).unwrap_or(0.0);
        let (low, high) = (want - first - (want * 0.1).max(30.0), want + (want * 0.1).max(30.0));
        ensure!((low..=high).contains(&got), "{inner} under {caller}: {got:.1} of {want:.1} ms");
    }
    Ok(())
}

fn service_of<'a>(map: &'a Map, function: &'a str) -> Option<&'a str> {
    map.of(function).find_map(|step| step.service.as_deref())
}

const CALLS: [(&str, &str, &str, &str); 2] = [("ask_cpu", "burn", "/cpu", "ms"), ("ask_nap", "doze", "/nap", "ms")];

#[test]
fn a_service_learned_in_the_warm_up() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut front = Service::python("front", &[])?;
    let traced = trace(&front)?.with_baseline().options(&["--runs", "1"]).passes()?;
    served(&traced, &CALLS, false)?;
    let map = traced.map()?;
    ensure!(service_of(&map, "burn") == Some("server"), "burn is of {:?}", service_of(&map, "burn"));
    ensure!(service_of(&map, "ask_cpu") == Some("client"), "ask_cpu is of {:?}", service_of(&map, "ask_cpu"));
    // 180 ms of CPU are burnt by the service, none of them by the command.
    let (cpu, wall) = (map.baseline("cpu_time_ms")?, map.baseline("wall_time_ms")?);
    ensure!(cpu + 180.0 < wall, "the service's CPU time is in the baseline's: {cpu} of {wall} ms");
    traced.check("schema,baseline,functions,location,http")?;
    traced.owns_its_time()?;
    front.unharmed()
}

#[test]
fn a_service_met_on_the_way() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut front = Service::python("front", &[])?;
    let traced = trace(&front)?.passes()?;
    served(&traced, &CALLS, true)?;
    traced.check("schema,functions,location,http")?;
    traced.owns_its_time()?;
    front.unharmed()
}

/// The connection between the two services is older than perfmap, and only used in the profiled run.
#[test]
fn two_services_deep_over_an_older_connection() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut back = Service::python("back", &[])?;
    let mut front = Service::python("front", &["--next", &back.port])?;
    front.ask("/open")?;
    let traced = trace(&front)?.env("PEER_CHAIN", "1").passes()?;
    served(&traced, &CALLS, true)?;
    served(&traced, &[("ask_chain", "forward", "/chain", "ms"), ("forward", "burn", "/chain", "inner_ms")], true)?;
    traced.owns_its_time()?;
    front.unharmed()?;
    back.unharmed()
}

/// A program without an interpreter: its functions by the mappings that were there before.
#[test]
fn a_native_service() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut front = Service::native("front")?;
    let traced = trace(&front)?.passes()?;
    served(&traced, &CALLS, false)?;
    traced.owns_its_time()?;
    front.unharmed()
}

/// Whichever worker answers, also one that did not in the warm-up: all are children of one program.
#[test]
fn workers_of_one_service() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut front = Service::python("front", &["--workers", "3"])?;
    let traced = trace(&front)?.with_baseline().options(&["--runs", "1"]).passes()?;
    served(&traced, &CALLS, false)?;
    front.unharmed()
}

#[test]
fn only_those_that_are_named() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut front = Service::python("front", &[])?;
    // Of the same script: only the port tells them apart.
    let other = Service::python("other", &[])?;
    let options = |follow: &str| -> Result<Trace> {
        Ok(trace(&front)?.with_baseline().options(&["--runs", "1", "--follow-peers", follow]))
    };
    let with = |follow: &str| options(follow)?.passes();
    let (by_port, by_other) = (format!("server:{}", front.port), format!("server:{}", other.port));
    for (follow, followed) in [("server", true), (by_port.as_str(), true), (by_other.as_str(), false), ("no", false)] {
        let map = with(follow)?.map()?;
        ensure!(
            map.has("burn") == followed,
            "--follow-peers {follow}: burn is {}there",
            if followed { "not " } else { "" }
        );
        ensure!(map.round_trips("ask_cpu") == 3, "--follow-peers {follow}: {} round trips", map.round_trips("ask_cpu"));
    }
    // Nobody has the name: said before anything runs, with the names that there are.
    let refused = options("sever")?.run()?;
    ensure!(refused.code() == Some(2), "exit code {:?}: {}", refused.code(), refused.stderr());
    let said = refused.stderr();
    ensure!(said.contains("called sever"), "{said}");
    ensure!(said.contains(&by_port) && said.contains(&by_other) || said.contains(" more"), "no candidates: {said}");
    front.unharmed()
}

/// The example's own services, started outside of the traced tree: its check passes as ever.
#[test]
fn pytest_example_with_services_outside() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = workload::ready("w01_example")?;
    let services = |word: &str| -> Result<()> {
        let done =
            Command::new(dir.join("svc_servers")).arg(word).env("PATH", places::path()?).stdout(Stdio::null()).status();
        ensure!(done.context("svc_servers")?.success(), "svc_servers {word}");
        Ok(())
    };
    services("start")?;
    let traced = Trace::workload("w01_example", &[])?.with_baseline().options(&["--runs", "1"]).passes();
    let left: PathBuf = dir.join(".svc.json");
    ensure!(left.exists(), "the services are not known any more");
    services("stop")?;
    let traced = traced?;
    traced.check("schema,baseline,functions,location,class,top,http,edges")?;
    let map = traced.map()?;
    for (outer, inner) in [("tikal_extract", "serve.<locals>.cpu_work"), ("mt_translate", "serve.<locals>.H.do_GET")] {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    let burns = service_of(&map, "serve.<locals>.cpu_work");
    ensure!(burns == Some("tikal"), "cpu_work is of {burns:?}");
    traced.owns_its_time()
}
