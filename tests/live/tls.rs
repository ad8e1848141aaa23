//! HTTPS read through the TLS library: CPython's blocking and memory BIOs, curl, wget (GnuTLS), Node. The server is not traced, so that what is
//! counted was read at the client's end, and it says itself what it served.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use perfmap_tests::{Trace, Traced, places, trace::until, turn, workload};
use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use crate::faults::{bpf_objects, nothing_stays};

struct Server {
    child: Child,
    port: u64,
    proxy: u64,
}

struct Served {
    requests: u64,
    connections: u64,
    tunnels: u64,
}

impl Server {
    fn start(tls: &str) -> Result<Self> {
        let dir = workload::ready("w50_tls")?;
        let mut python = Command::new("python3");
        python.env("PATH", places::path()?).arg("server.py").arg(tls).current_dir(dir);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the server")?;
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().context("no output")?);
        out.read_line(&mut line).context("read the server's ports")?;
        child.stdout = Some(out.into_inner());
        let ports: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [port, proxy] = ports[..] else { anyhow::bail!("the server said {line:?}") };
        Ok(Self { child, port, proxy })
    }

    fn trace(&self, shape: &str) -> Result<Trace> {
        Trace::workload("w50_tls", &[shape, &self.port.to_string(), &self.proxy.to_string()])
    }

    fn served(mut self) -> Result<Served> {
        drop(self.child.stdin.take());
        let out = self.child.wait_with_output().context("wait for the server")?;
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).context("parse what the server says")?;
        let number = |key: &str| json[key].as_u64().with_context(|| format!("no {key} in {json}"));
        Ok(Served { requests: number("requests")?, connections: number("connections")?, tunnels: number("tunnels")? })
    }
}

fn counts(traced: &Traced, port: u64, want: (u64, u64), how: &[&str]) -> Result<()> {
    let (round_trips, connections, failed, counted) = traced.map()?.peer(port)?;
    ensure!(
        ((round_trips, connections), failed) == (want, 0) && how.contains(&counted.as_str()),
        "{round_trips} round trips on {connections} connections, {failed} failed, marked {counted}; the server counted {want:?}\n{}",
        traced.words()
    );
    traced.owns_its_time()
}

fn exact(shape: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let server = Server::start("1.3")?;
    let (port, traced) = (server.port, server.trace(shape)?.passes()?);
    let Served { requests, connections, .. } = server.served()?;
    counts(&traced, port, (requests, connections), &["exact"])
}

#[test]
fn blocking_kept_connection() -> Result<()> {
    exact("kept")
}

#[test]
fn blocking_new_connections() -> Result<()> {
    exact("new")
}

#[test]
fn large_and_chunked_bodies_both_ways() -> Result<()> {
    exact("bodies")
}

#[test]
fn responses_ended_by_close() -> Result<()> {
    exact("close")
}

#[test]
fn eight_threads() -> Result<()> {
    exact("threads")
}

/// The library never sees the socket.
#[test]
fn asyncio_streams() -> Result<()> {
    exact("asyncio")
}

#[test]
fn six_connections_on_one_event_loop() -> Result<()> {
    exact("streams")
}

#[test]
fn tls_1_2() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let server = Server::start("1.2")?;
    let (port, traced) = (server.port, server.trace("streams")?.passes()?);
    let Served { requests, connections, .. } = server.served()?;
    counts(&traced, port, (requests, connections), &["exact"])
}

#[test]
fn through_a_connect_tunnel() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let server = Server::start("1.3")?;
    let (proxy, traced) = (server.proxy, server.trace("tunnel")?.passes()?);
    let Served { requests, tunnels, .. } = server.served()?;
    // The CONNECT is a round trip of its own.
    counts(&traced, proxy, (requests + tunnels, tunnels), &["exact"])
}

/// Programs that are soon done: an earlier run tells which library to probe before they start. Without one the first requests
/// may be over before, and are counted all the same, once.
fn short_program(trace: impl Fn(&Server) -> Result<Trace>) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let server = Server::start("1.3")?;
    let port = server.port;
    let first = trace(&server)?.passes()?;
    let Served { requests, connections, .. } = server.served()?;
    counts(&first, port, (requests, connections), &["exact", "inferred"])?;
    let server = Server::start("1.3")?;
    let port = server.port;
    let traced = trace(&server)?.with_baseline().options(&["--runs", "1", "--warmup", "0"]).passes()?;
    // One counted run before it.
    let Served { requests, connections, .. } = server.served()?;
    counts(&traced, port, (requests / 2, connections / 2), &["exact"])
}

#[test]
fn curl() -> Result<()> {
    short_program(|server| server.trace("curl"))
}

/// GnuTLS, where it is Debian's: another build of wget may use OpenSSL.
#[test]
fn wget() -> Result<()> {
    if places::program("wget").is_none() {
        eprintln!("skipped: no wget on this machine");
        return Ok(());
    }
    short_program(|server| server.trace("wget"))
}

/// OpenSSL linked into the program.
#[test]
fn node() -> Result<()> {
    if places::program("node").is_none() {
        eprintln!("skipped: no node on this machine");
        return Ok(());
    }
    short_program(|server| server.trace("node"))
}

/// Go's own TLS: calls end on other threads than they begin on. How many connections it opens differs from run to run, and
/// on some of them nothing is asked.
#[test]
fn go() -> Result<()> {
    let client = workload::ready("w52_go_tls")?.join("bin/client");
    if !client.is_file() {
        eprintln!("skipped: no go on this machine to build the client with");
        return Ok(());
    }
    let certificate = workload::ready("w50_tls")?.join("cert.pem");
    let certificate = certificate.to_str().context("a path that is not UTF-8")?;
    let Some(_turn) = turn()? else { return Ok(()) };
    let follow = ["--follow-peers", "no"];
    let trace = |server: &Server| Trace::workload("w52_go_tls", &[certificate, &server.port.to_string()]);
    let server = Server::start("1.3")?;
    let port = server.port;
    let traced =
        trace(&server)?.with_baseline().options(&["--runs", "1", "--warmup", "0"]).options(&follow).passes()?;
    let requests = server.served()?.requests / 2;
    let (round_trips, _, failed, counted) = traced.map()?.peer(port)?;
    ensure!(
        (round_trips, failed, counted.as_str()) == (requests, 0, "exact"),
        "{round_trips} round trips, {failed} failed, marked {counted}; the server counted {requests}\n{}",
        traced.words()
    );
    ensure!(!traced.words().contains("not decrypted"), "all of it was read:\n{}", traced.words());
    traced.owns_its_time()
}

/// A client of the server that a workload builds for itself; None: it could not be built here.
fn built(name: &str, missing: &str, options: &[&str]) -> Result<Option<Traced>> {
    if !workload::ready(name)?.join("bin/client").is_file() {
        eprintln!("skipped: {missing}");
        return Ok(None);
    }
    let Some(_turn) = turn()? else { return Ok(None) };
    let certificate = workload::ready("w50_tls")?.join("cert.pem");
    let certificate = certificate.to_str().context("a path that is not UTF-8")?;
    let server = Server::start("1.3")?;
    let (port, text) = (server.port, server.port.to_string());
    let trace = Trace::workload(name, &[certificate, &text])?.with_baseline();
    let traced = trace.options(&["--runs", "1", "--warmup", "0", "--follow-peers", "no"]).options(options).passes()?;
    let Served { requests, connections, .. } = server.served()?;
    counts(&traced, port, (requests / 2, connections / 2), &["exact"])?;
    ensure!(!traced.words().contains("not decrypted"), "all of it was read:\n{}", traced.words());
    Ok(Some(traced))
}

/// Reads and writes name the connection by different addresses; large bodies are written in pieces of several slices.
#[test]
fn rustls() -> Result<()> {
    let Some(traced) = built("w66_rustls", "rustls could not be fetched and built", &[])? else { return Ok(()) };
    let map = traced.map()?;
    // 16 of the first thread and one of each of the others; the calls lie under who made them.
    ensure!(map.round_trips("get") == 20, "get made {} round trips", map.round_trips("get"));
    ensure!(map.nested("get", "read_answer"), "read_answer is not under get");
    Ok(())
}

#[test]
fn openssl_linked_statically() -> Result<()> {
    built("w67_static_ssl", "no libssl.a on this machine", &[]).map(drop)
}

/// As on kernels before 6.6: each probe hangs on a descriptor of its own.
#[test]
fn one_probe_at_a_time() -> Result<()> {
    built("w67_static_ssl", "no libssl.a on this machine", &["--single-probes"]).map(drop)
}

/// The breakpoints go with perfmap, and the target, whose calls they were in, comes to its own end.
#[test]
fn perfmap_killed_midway_leaves_no_probe() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let before = bpf_objects()?;
    let server = Server::start("1.3")?;
    let dir = tempfile::tempdir().context("make a scratch directory")?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).context("open it")?;
    let started = dir.path().join("started");
    let mut running = server.trace("paced")?.env("STARTED", &started).start()?;
    running.until_exists(&started)?;
    let own: Vec<String> = bpf_objects()?.into_iter().filter(|object| !before.contains(object)).collect();
    let program = own
        .iter()
        .find_map(|object| object.strip_prefix("prog ")?.split_once(": ").filter(|(_, is)| is.contains("on_tls")));
    let (id, _) = program.with_context(|| format!("no program at the probes: {own:#?}"))?;
    let ours = format!("prog {id}");
    let holds = |link: &&String| link.starts_with("link") && link.trim_end().ends_with(&ours);
    let links: Vec<_> = own.iter().filter(holds).collect();
    ensure!(!links.is_empty(), "no probes were set, so this test proves nothing: {own:#?}");
    // From 6.6 on all probes of a library are one link: each is waited for when it goes.
    if !links.iter().any(|link| link.contains("perf_event")) {
        ensure!(links.len() <= 2, "{links:#?}");
    }
    running.signal(Signal::SIGKILL)?;
    running.child.wait().context("reap perfmap")?;
    nothing_stays(&before)?;
    until("the target finished", || started.with_extension("done").exists())?;
    let served = server.served()?.requests;
    ensure!(served == 200, "{served} of 200 requests");
    Ok(())
}
