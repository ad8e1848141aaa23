//! Names of services: what they say of themselves, what the user calls them, what their unit or container is.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, places, turn, workload};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

/// The function of a service, under the client's function that asked it, carries the service's name.
fn named(map: &Map, function: &str, caller: &str, service: &str) -> Result<()> {
    let step = map.of(function).next().with_context(|| format!("no step {function}"))?;
    ensure!(map.nested(caller, function), "{function} is not under {caller}");
    let got = step.service.as_deref();
    ensure!(got == Some(service), "{function} is of service {got:?}, not {service}");
    Ok(())
}

fn peer_services(map: &Map) -> Vec<String> {
    let peers = map.json["peers"].as_array().into_iter().flatten();
    let mut names: Vec<String> = peers.filter_map(|peer| Some(peer["service"].as_str()?.to_owned())).collect();
    names.sort();
    names
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .context("find a free port")?
        .port())
}

#[test]
fn services_are_called_what_they_say_and_what_the_user_says() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let port = free_port()?;
    let trace = Trace::workload("w46_services", &[])?.option("--service").option(format!("warehouse=port:{port}"));
    let traced = trace.env("WL_PORT", port.to_string()).passes()?;
    let map = traced.map()?;
    named(&map, "price_order", "ask_orders", "orders-api")?;
    named(&map, "charge_card", "ask_billing", "billing")?;
    named(&map, "count_stock", "ask_stock", "warehouse")?;
    let names = peer_services(&map);
    ensure!(names == ["billing", "orders-api", "warehouse"], "peers are {names:?}");
    traced.owns_its_time()
}

/// A copy of the workload in a project of its own, which has a perfmap.toml.
fn project(toml: &str) -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let from = workload::ready("w46_services")?;
    let project = tempfile::Builder::new().prefix("perfmap-project-").tempdir().context("make a project")?;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path(), open).context("open the project")?;
    for name in ["client.py", "serve.py", "orders.py", "billing.py", "stock.py", "selftime.py"] {
        std::fs::copy(from.join(name), project.path().join(name)).with_context(|| format!("copy {name}"))?;
    }
    std::fs::write(project.path().join("pyproject.toml"), "").context("write pyproject.toml")?;
    std::fs::write(project.path().join("perfmap.toml"), toml).context("write perfmap.toml")?;
    Ok(project)
}

#[test]
fn names_of_a_project_lie_in_its_file() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let project = project("[services]\nwarehouse = \"stock.py\"\ntill = 'billing.py'\nshop = \"client.py\"\n")?;
    let trace = Trace::command(["python3", "client.py"]).dir(project.path()).option("--no-baseline");
    let traced = trace.options(&["--service", "prices=orders.py"]).passes()?;
    let map = traced.map()?;
    named(&map, "price_order", "ask_orders", "prices")?;
    named(&map, "charge_card", "ask_billing", "till")?;
    named(&map, "count_stock", "ask_stock", "warehouse")?;
    let own = map.of("ask_stock").next().and_then(|step| step.service.clone());
    ensure!(own.as_deref() == Some("shop"), "the command is of service {own:?}");
    Ok(())
}

#[test]
fn a_mistake_in_the_file_is_said_before_anything_runs() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let project = project("[services]\nstock = 8001\n")?;
    let traced = Trace::command(["python3", "client.py"]).dir(project.path()).option("--no-baseline").run()?;
    ensure!(traced.code() == Some(2), "exit code {:?}", traced.code());
    ensure!(traced.stderr().contains("perfmap.toml, line 2"), "{}", traced.stderr());
    ensure!(!traced.out.exists(), "something was written");
    Ok(())
}

/// systemd's own hierarchy: what it and docker do for a process is to put it into a directory of that name.
fn control_groups() -> Option<PathBuf> {
    let roots = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"].map(Path::new);
    roots.into_iter().find(|root| root.join("cgroup.procs").is_file()).map(Path::to_path_buf)
}

struct Group(Vec<PathBuf>);

impl Group {
    fn make(path: &Path, root: &Path) -> Result<Group> {
        let mut made = Group(Vec::new());
        let above: Vec<&Path> = path.ancestors().take_while(|above| *above != root).collect();
        for directory in above.into_iter().rev() {
            if !directory.exists() {
                std::fs::create_dir(directory).with_context(|| format!("make {}", directory.display()))?;
                made.0.push(directory.to_path_buf());
            }
        }
        Ok(made)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            if let Err(error) = std::fs::remove_dir(directory) {
                eprintln!("{} stays: {error}", directory.display());
            }
        }
    }
}

fn in_group(name: &str) -> Result<Traced> {
    let root = control_groups().context("no control groups are mounted at /sys/fs/cgroup")?;
    let path = root.join("perfmaptest.slice").join(name);
    let _group = Group::make(&path, &root)?;
    Trace::workload("w46_services", &[])?.option("--as-root").env("WL_GROUP", &path).passes()
}

#[test]
fn a_unit_names_its_service() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let map = in_group("depot.service")?.map()?;
    named(&map, "count_stock", "ask_stock", "depot")?;
    named(&map, "charge_card", "ask_billing", "billing")
}

#[test]
fn a_container_without_a_name_goes_by_its_id() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let id = "0f1e2d3c4b5a".to_owned() + &"a9".repeat(26);
    let map = in_group(&format!("docker-{id}.scope"))?.map()?;
    named(&map, "count_stock", "ask_stock", "0f1e2d3c4b5a")?;
    named(&map, "price_order", "ask_orders", "orders-api")
}

/// A client, nginx, a threaded server behind it and another one behind that.
#[test]
fn three_services_deep() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w42_proxy", &[])?.passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for want in truth.json["http"]["peers"].as_array().context("truth without http.peers")? {
        let (port, trips) = (want["port"].as_u64().context("a port")?, want["round_trips"].as_u64());
        let (round_trips, _, failed, counted) = map.peer(port)?;
        ensure!(Some(round_trips) == trips, "{}: {round_trips} round trips, truth {trips:?}", want["service"]);
        ensure!((failed, counted.as_str()) == (0, "exact"), "{}: {failed} failed, {counted}", want["service"]);
        // Both Python services run the same script: their ports tell them apart.
        let peers = map.json["peers"].as_array().context("no list of peers")?;
        let peer = peers.iter().find(|peer| peer["address"] == format!("127.0.0.1:{port}"));
        let name = if want["service"] == "nginx" { "nginx".to_owned() } else { format!("chain:{port}") };
        let got = peer.map(|peer| &peer["service"]);
        ensure!(got == Some(&name.clone().into()), "{} is called {got:?}, not {name}", want["service"]);
        if want["service"] == "store" {
            named(&map, "scan_rows", "look_up", &name)?;
        }
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

/// A client, a proxy that only copies bytes (as docker-proxy does for published ports), and two services behind it.
fn through_a_proxy(variant: &str, proxy: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    // Functions lie side by side in one thread: at 99 Hz a sample more or less is a tenth of one.
    let traced = Trace::workload("w65_proxy_copy", &[variant])?.options(&["--freq", "999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for want in truth.json["http"]["peers"].as_array().context("truth without http.peers")? {
        let (port, trips) = (want["port"].as_u64().context("a port")?, want["round_trips"].as_u64());
        let (round_trips, _, failed, counted) = map.peer(port)?;
        ensure!(Some(round_trips) == trips, "{}: {round_trips} round trips, truth {trips:?}", want["service"]);
        ensure!((failed, counted.as_str()) == (0, "exact"), "{}: {failed} failed, {counted}", want["service"]);
        let peers = map.json["peers"].as_array().context("no list of peers")?;
        let peer = peers.iter().find(|peer| peer["address"] == format!("127.0.0.1:{port}"));
        let got = peer.and_then(|peer| peer["service"].as_str()).unwrap_or_default();
        let name =
            if want["service"] == "proxy" { proxy.replace("PORT", &port.to_string()) } else { format!("chain:{port}") };
        ensure!(got == name, "{} is called {got:?}, not {name}", want["service"]);
        if want["service"] == "store" {
            named(&map, "scan_rows", "look_up", &name)?;
        }
    }
    for (outer, inner) in
        [("load_pages", "do_GET"), ("do_GET", "look_up"), ("look_up", "scan_rows"), ("do_GET", "render_page")]
    {
        ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
    }
    for function in truth.functions()? {
        let (found, true_ms) = (map.wall_of(&function.name), function.wall_ms);
        ensure!((found - true_ms).abs() <= true_ms * 0.1, "{}: {found:.0} ms, truth {true_ms:.0} ms", function.name);
    }
    // Each page is asked for once at the proxy, once behind it, and once at the store.
    for (function, trips) in [("load_pages", 36), ("look_up", 12)] {
        ensure!(map.round_trips(function) == trips, "{function} made {}", map.round_trips(function));
    }
    traced.owns_its_time()
}

#[test]
fn through_a_proxy_of_threads_that_copy() -> Result<()> {
    through_a_proxy("copy", "proxied:PORT")
}

#[test]
fn through_socat() -> Result<()> {
    if places::program("socat").is_none() {
        eprintln!("skipped: no socat on this machine");
        return Ok(());
    }
    // Its processes are the workload's own tools to perfmap, but for what they answer.
    through_a_proxy("socat", "socat")
}

/// It splices: the bytes never pass through its memory.
#[test]
fn through_docker_proxy() -> Result<()> {
    if places::program("docker-proxy").is_none() {
        eprintln!("skipped: no docker-proxy on this machine");
        return Ok(());
    }
    through_a_proxy("docker", "docker-proxy")
}
