//! Services in containers and network namespaces: their functions under the client's call, by name and service.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, places, turn, workload};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

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
    cpu_times(&traced)?;
    for caller in ["ask_shop", "ask_depot"] {
        ensure!(map.round_trips(caller) == 5, "{caller}: {} round trips", map.round_trips(caller));
    }
    // Generated code has its name from a map in the container's own /tmp, under the container's own pid.
    let folded = std::fs::read_to_string(traced.out.join("profile.folded")).context("read profile.folded")?;
    ensure!(folded.contains("run_made;label_parcel"), "label_parcel has no name");
    traced.owns_its_time()
}

/// CPU time of the services' functions, as they measured it themselves.
fn cpu_times(traced: &Traced) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for function in ["weigh_basket", "pack_parcel"] {
        let want = truth.json["spent_ms"][function].as_f64().with_context(|| format!("truth without {function}"))?;
        let got = map.cpu_ms(function);
        ensure!((got - want).abs() <= want * 0.2 + 10.0, "{function}: {got:.1} ms of CPU, truth {want:.1} ms");
    }
    Ok(())
}

/// The workload's containers, started by the test itself.
struct Held {
    child: Child,
    /// What it says first: the name of the container without a label, or a pid.
    name: String,
    _truth: tempfile::TempDir,
}

impl Held {
    fn start() -> Result<Held> {
        Held::variant("hold")
    }

    fn variant(variant: &str) -> Result<Held> {
        let mut command = Command::new("./run");
        command.arg(variant).current_dir(workload::ready("w47_containers")?).env("PATH", places::path()?);
        let scratch = tempfile::tempdir().context("make a directory for the truth")?;
        let mut child = command
            .env("TRUTH_DIR", scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the containers")?;
        let mut name = String::new();
        let out = child.stdout.take().context("containers without an output")?;
        BufReader::new(out).read_line(&mut name).context("read the container's name")?;
        let held = Held { child, name: name.trim().to_owned(), _truth: scratch };
        ensure!(!held.name.is_empty(), "the containers did not start");
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("the containers stay: {error}");
        }
    }
}

/// Learned in the warm-up, followed in the profiled run: names, files and perf maps as for those of the command.
#[test]
fn containers_that_ran_before() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let held = Held::start()?;
    let trace = Trace::workload("w47_containers", &["calls"])?.with_baseline();
    let traced = trace.options(&["--as-root", "--freq", "999", "--runs", "1"]).passes()?;
    let map = traced.map()?;
    under(&map, "ask_shop", "weigh_basket", Some("basket"))?;
    under(&map, "ask_depot", "pack_parcel", Some(&held.name))?;
    cpu_times(&traced)?;
    let folded = std::fs::read_to_string(traced.out.join("profile.folded")).context("read profile.folded")?;
    ensure!(folded.contains("run_made;label_parcel"), "label_parcel has no name");
    traced.owns_its_time()
}

/// No warm-up tells of it; the other container is met on the way.
#[test]
fn a_container_that_the_user_names_is_followed_from_the_beginning() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let held = Held::start()?;
    let trace = Trace::workload("w47_containers", &["calls"])?.options(&["--as-root", "--freq", "999"]);
    let traced = trace.option("--service").option(format!("store=container:{}", held.name)).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    under(&map, "ask_depot", "pack_parcel", Some("store"))?;
    under(&map, "ask_shop", "weigh_basket", Some("basket"))?;
    let want = truth.json["spent_ms"]["pack_parcel"].as_f64().context("truth without pack_parcel")?;
    let got = map.cpu_ms("pack_parcel");
    ensure!((got - want).abs() <= want * 0.2 + 10.0, "pack_parcel: {got:.1} ms of CPU, truth {want:.1} ms");
    ensure!(map.round_trips("ask_depot") == 5, "{} round trips", map.round_trips("ask_depot"));
    traced.owns_its_time()
}

/// A running container, watched while somebody else asks it.
#[test]
fn a_container_attached_to() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let held = Held::start()?;
    let out = tempfile::tempdir().context("make a directory")?;
    let mut perfmap = Command::new(places::perfmap()?);
    perfmap.args(["attach", "--freq", "999", "--container", &held.name, "--out"]).arg(out.path().join("out"));
    perfmap.arg("--service").arg(format!("store=container:{}", held.name));
    let mut perfmap = perfmap.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("start perfmap")?;
    let mut said = BufReader::new(perfmap.stderr.take().context("perfmap without words")?);
    let mut words = String::new();
    said.read_line(&mut words).context("read perfmap's first line")?;
    let mut calls = Command::new("./run");
    calls.arg("calls").current_dir(workload::ready("w47_containers")?).env("PATH", places::path()?);
    let asked = calls.env("TRUTH_DIR", out.path().join("truth")).status().context("run the client")?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(perfmap.id()).context("perfmap's pid")?),
        nix::sys::signal::Signal::SIGINT,
    )
    .context("interrupt perfmap")?;
    said.read_to_string(&mut words).context("read what perfmap said")?;
    let ended = perfmap.wait().context("wait for perfmap")?;
    ensure!(asked.success() && ended.success(), "the client ended with {asked}, perfmap with {ended}:\n{words}");
    let map = Map::read(&out.path().join("out/performance_map.yaml"))?;
    let step = map.of("pack_parcel").next().with_context(|| format!("no step pack_parcel:\n{words}"))?;
    ensure!(
        step.location.as_deref().is_some_and(|at| at.contains("depot.c:")),
        "pack_parcel is at {:?}",
        step.location
    );
    let served = map.json["served"].as_array().map_or(0, Vec::len);
    ensure!(served == 1, "{served} routes were served:\n{words}");
    Ok(())
}

/// perfmap under `unshare` with these namespaces of its own, which traces `command`.
fn unshared(namespaces: &[&str], options: &[&str], out: &Path, command: &[&str]) -> Result<Command> {
    let mut perfmap = Command::new("unshare");
    // A new network's loopback is down.
    perfmap.args(namespaces).args(["sh", "-c", "ip link set lo up; exec \"$@\"", "sh"]).arg(places::perfmap()?);
    perfmap.args(["trace", "--no-baseline", "--out"]).arg(out).args(options).arg("--").args(command);
    perfmap.env("PATH", places::path()?).env("NO_COLOR", "1").stdin(Stdio::null());
    Ok(perfmap)
}

/// The kernel side is told whose numbers to use: /proc, interpreters and samples agree.
#[test]
fn inside_a_pid_namespace_of_its_own_all_works() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = tempfile::tempdir().context("make a directory")?;
    let own = ["--pid", "--fork", "--mount-proc", "--net", "--uts", "--ipc"];
    let out = dir.path().join("out");
    let mut perfmap = unshared(&own, &["--as-root", "--backend", "ebpf", "--freq", "999"], &out, &["./run"])?;
    perfmap.current_dir(workload::ready("w46_services")?).env("TRUTH_DIR", dir.path());
    let output = perfmap.output().context("run perfmap under unshare")?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let map = Map::read(&out.join("performance_map.yaml"))?;
    for (caller, function, service) in
        [("ask_orders", "price_order", "orders-api"), ("ask_billing", "charge_card", "billing")]
    {
        under(&map, caller, function, Some(service))?;
        // Four requests of 40 ms of CPU each.
        let cpu = map.cpu_ms(function);
        ensure!((110.0..=210.0).contains(&cpu), "{function}: {cpu:.0} ms of CPU");
    }
    Ok(())
}

/// A service that ran before, in the same namespace: met in the warm-up and followed by its number there.
#[test]
fn a_service_that_ran_before_inside_a_pid_namespace() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = tempfile::tempdir().context("make a directory")?;
    let out = dir.path().join("out");
    let script = "ip link set lo up; python3 server.py front \"$1\" & \
                  while [ ! -e \"$1\" ]; do sleep 0.05; done; PEER_PORT=$(cat \"$1\") \"$2\" trace --as-root \
                  --backend ebpf --runs 1 --out \"$3\" -- ./run calls; code=$?; kill %1; exit $code";
    let mut perfmap = Command::new("unshare");
    perfmap.args(["--pid", "--fork", "--mount-proc", "--net", "sh", "-c", script, "sh"]);
    perfmap.arg(dir.path().join("port")).arg(places::perfmap()?).arg(&out).env("PATH", places::path()?);
    perfmap.current_dir(workload::ready("w36_peers")?).env("TRUTH_DIR", dir.path()).stdin(Stdio::null());
    let output = perfmap.output().context("run perfmap under unshare")?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let map = Map::read(&out.join("performance_map.yaml"))?;
    under(&map, "ask_cpu", "burn", Some("server"))?;
    under(&map, "ask_nap", "doze", Some("server"))?;
    ensure!(map.cpu_ms("burn") > 100.0, "burn: {:.1} ms of CPU, at least 180 ms were burnt", map.cpu_ms("burn"));
    Ok(())
}

/// /proc numbers other processes than perfmap's: what is left is said, and why.
#[test]
fn with_the_proc_of_others_it_says_what_is_lost_and_why() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let own = ["--pid", "--fork"];
    let dir = tempfile::tempdir().context("make a directory")?;
    let out = dir.path().join("plain");
    let output = unshared(&own, &[], &out, &["sleep", "0.3"])?.output().context("run perfmap under unshare")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("PID namespace") && said.contains("mount -t proc"), "no reason is given: {said}");
    let map = Map::read(&out.join("performance_map.yaml"))?;
    ensure!(map.warnings().contains("PID namespace"), "not in the warnings: {}", map.warnings());
    let wall = map.wall_ms()?;
    ensure!((300.0..3000.0).contains(&wall), "{wall} ms of wall time");

    let refused = unshared(&own, &["--backend", "ebpf"], &dir.path().join("ebpf"), &["true"])?.output();
    let refused = refused.context("run perfmap under unshare")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(4), "exit code {:?}: {said}", refused.status.code());
    let hint = said.lines().find(|line| line.starts_with("hint")).unwrap_or_default();
    ensure!(said.contains("PID namespace") && hint.contains("mount -t proc"), "no hint is given: {said}");
    Ok(())
}

/// As in a container with `--pid=host`: other files, network and host name, but the machine's pids.
#[test]
fn inside_a_container_with_the_machines_pids_all_works() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = tempfile::tempdir().context("make a directory")?;
    let out = dir.path().join("out");
    let mut perfmap = unshared(&["--mount", "--net", "--uts", "--ipc"], &["--as-root"], &out, &["./run"])?;
    perfmap.current_dir(workload::ready("w46_services")?).env("TRUTH_DIR", dir.path());
    let output = perfmap.output().context("run perfmap under unshare")?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let map = Map::read(&out.join("performance_map.yaml"))?;
    under(&map, "ask_orders", "price_order", Some("orders-api"))?;
    under(&map, "ask_billing", "charge_card", Some("billing"))
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

/// The watched service and its connections are older than perfmap: only the kernel's connection tracking knows who answers.
#[test]
fn connections_through_published_ports_that_were_made_before() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let held = Held::variant("nat_held")?;
    let out = tempfile::tempdir().context("make a directory")?;
    let mut perfmap = Command::new(places::perfmap()?);
    perfmap.args(["attach", "--freq", "999", "--duration", "2s", "--pid", &held.name, "--out"]);
    let output = perfmap.arg(out.path().join("out")).stdin(Stdio::null()).output().context("run perfmap")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    let map = Map::read(&out.path().join("out/performance_map.yaml"))?;
    under(&map, "ask_published_again", "weigh_left", None).with_context(|| said.clone().into_owned())?;
    under(&map, "ask_masqueraded_again", "weigh_right", None)?;
    ensure!(!map.nested("ask_published_again", "weigh_right"), "the wrong service answers");
    Ok(())
}

/// A service that ran before, asked through a published port: it sees the client's address, but is not whom the client asked.
#[test]
fn a_service_behind_a_published_port_that_ran_before() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let held = Held::variant("nat_open")?;
    let words = ["nsenter", "--net", "-t", &held.name, "./run", "nat_calls"];
    let trace = Trace::command(words).dir(workload::ready("w47_containers")?).with_baseline();
    let traced = trace.options(&["--as-root", "--freq", "999", "--runs", "1"]).passes()?;
    under(&traced.map()?, "ask_published", "weigh_left", None)?;
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
