//! `perfmap attach` on services that the tests start: what they served, how often, and where its time went.

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use perfmap_tests::{Map, Service, Truth, places, turn, workload};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

/// perfmap while it watches.
pub(crate) struct Watching {
    child: Child,
    stderr: BufReader<ChildStderr>,
    scratch: Option<tempfile::TempDir>,
}

pub(crate) struct Watched {
    code: Option<i32>,
    words: String,
    scratch: tempfile::TempDir,
}

fn perfmap(words: &[&str]) -> Result<(Command, tempfile::TempDir)> {
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    let mut command = Command::new(places::perfmap()?);
    command.arg("attach").arg("--out").arg(scratch.path().join("out")).args(words).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok((command, scratch))
}

impl Watching {
    /// Comes back when everything is attached.
    pub(crate) fn begin(words: &[&str]) -> Result<Self> {
        let (mut command, scratch) = perfmap(words)?;
        let mut child = command.spawn().context("start perfmap")?;
        let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let mut line = String::new();
        stderr.read_line(&mut line).context("read its first line")?;
        ensure!(line.starts_with("watching"), "perfmap began with {line:?}");
        Ok(Self { child, stderr, scratch: Some(scratch) })
    }

    /// Most memory that it has had so far, in MiB.
    pub fn high_water(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("read its status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("a number, not {line}"))?;
        Ok(kib / 1024.0)
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(self) -> Result<Watched> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).context("send SIGINT to perfmap")?;
        self.end()
    }

    fn end(mut self) -> Result<Watched> {
        let mut words = String::new();
        self.stderr.read_to_string(&mut words).context("read what it said")?;
        let code = self.child.wait().context("wait for perfmap")?.code();
        let scratch = self.scratch.take().context("no directory for the results")?;
        Ok(Watched { code, words, scratch })
    }
}

impl Drop for Watching {
    /// Nobody waits for it where a test failed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watched {
    pub(crate) fn map(&self) -> Result<Map> {
        ensure!(self.code == Some(0), "perfmap ended with {:?}:\n{}", self.code, self.words);
        Map::read(&self.scratch.path().join("out/performance_map.yaml")).with_context(|| self.words.clone())
    }

    /// `profile_result` of the result.
    pub(crate) fn result(&self) -> Result<Value> {
        ensure!(self.code == Some(0), "perfmap ended with {:?}:\n{}", self.code, self.words);
        let text =
            std::fs::read_to_string(self.scratch.path().join("out/profile_result.yaml")).context("the result")?;
        let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
        Ok(file["profile_result"].clone())
    }
}

/// The client of `w36_peers` against one service, from its first request to its last.
fn calls(service: &Service) -> Result<(Truth, tempfile::TempDir)> {
    let dir = tempfile::tempdir().context("make a directory for the truth")?;
    let mut client = Command::new("./run");
    client.arg("calls").current_dir(workload::ready("w36_peers")?).env("PATH", places::path()?);
    let status =
        client.env("PEER_PORT", &service.port).env("TRUTH_DIR", dir.path()).status().context("run the client")?;
    ensure!(status.success(), "the client ended with {status}");
    Ok((Truth::in_dir(dir.path())?, dir))
}

pub(crate) fn entry<'a>(map: &'a Map, endpoint: &str) -> Result<&'a Value> {
    let served = map.json["served"].as_array().with_context(|| format!("no list `served` in {}", map.json))?;
    served
        .iter()
        .find(|entry| entry["endpoint"] == endpoint)
        .with_context(|| format!("{endpoint} was not served: {served:?}"))
}

/// Counts are the client's own; a request took at least what its handler says, and at most what the client saw; the
/// handler's function has the handler's time, below the step of its route (where it begins and ends is known from
/// samples alone, which are 10 ms apart).
fn as_the_client_says(map: &Map, truth: &Truth) -> Result<()> {
    for (path, function) in [("/cpu", "burn"), ("/nap", "doze")] {
        let endpoint = format!("GET {path}");
        let entry = entry(map, &endpoint)?;
        let said = &truth.json["served"][path];
        ensure!(entry["count"] == said["count"] && entry["counted"] == "exact", "{endpoint}: {entry}, truth {said}");
        let seen: Vec<f64> =
            truth.json["times"][path].as_array().context("no times")?.iter().filter_map(Value::as_f64).collect();
        let longest = seen.iter().copied().fold(0.0, f64::max);
        let (least, most) =
            (entry["latency_ms"]["min"].as_f64().context("min")?, entry["latency_ms"]["max"].as_f64().context("max")?);
        let handler = said["ms"].as_f64().context("truth without the handler's time")?;
        let mean = handler / seen.len() as f64;
        ensure!(
            least <= mean + 1.0 && most >= mean - 1.0 && most <= longest + 1.0,
            "{endpoint}: {least} to {most} ms, {mean} on average, {longest} seen"
        );
        ensure!(entry["per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{entry}");
        let id = entry["step"].as_str().context("no step")?;
        ensure!(map.steps.iter().any(|step| step.id == id && step.function == endpoint), "{id} is not {endpoint}");
        let under = |step: &&perfmap_tests::Step| step.above.contains(&endpoint);
        let got: f64 = map.of(function).filter(under).map(|step| step.wall_ms).sum();
        ensure!(
            (got - handler).abs() <= (handler * 0.1).max(15.0 * seen.len() as f64),
            "{function} under {endpoint}: {got:.1} of {handler:.1} ms"
        );
    }
    let (owned, wall) = (map.owned_ms()?, map.wall_ms()?);
    ensure!((owned - wall).abs() <= wall * 0.01, "steps and remainders own {owned:.1} ms of {wall:.1} ms");
    ensure!(map.has("(waiting for requests)"), "no remainder for the time without requests");
    Ok(())
}

#[test]
fn a_threaded_python_server() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut service = Service::python("front", &[])?;
    let watching = Watching::begin(&["--pid", &service.child.id().to_string()])?;
    // Its interpreter is looked for from the beginning on.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (truth, _dir) = calls(&service)?;
    as_the_client_says(&watching.interrupt()?.map()?, &truth)?;
    service.unharmed()
}

#[test]
fn a_threaded_native_server() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut service = Service::native("front")?;
    let watching = Watching::begin(&["--pid", &service.child.id().to_string()])?;
    let (truth, _dir) = calls(&service)?;
    as_the_client_says(&watching.interrupt()?.map()?, &truth)?;
    service.unharmed()
}

/// Nothing is asked of it, so nothing but that remainder owns its time.
#[test]
fn an_idle_server_for_a_given_time() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut service = Service::native("front")?;
    let map = Watching::begin(&["--pid", &service.child.id().to_string(), "--duration", "700ms"])?.end()?.map()?;
    let (idle, wall) = (map.wall_of("(waiting for requests)"), map.wall_ms()?);
    ensure!((700.0..5000.0).contains(&wall) && idle > wall * 0.95, "{idle} of {wall} ms");
    service.unharmed()
}

#[test]
fn a_process_that_ends_meanwhile() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let mut service = Service::native("front")?;
    let pid = service.child.id();
    let watching = Watching::begin(&["--pid", &pid.to_string(), "--duration", "60s"])?;
    service.ask("/cpu")?;
    service.child.kill().context("kill the service")?;
    let map = watching.end()?.map()?;
    ensure!(map.wall_ms()? < 30_000.0, "perfmap went on watching");
    ensure!(map.warnings().contains(&format!("process {pid}")), "not said: {}", map.warnings());
    ensure!(entry(&map, "GET /cpu")?["count"] == 1, "{}", map.json["served"]);
    Ok(())
}

#[test]
fn what_cannot_be_watched() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let refused = |words: &[&str]| -> Result<Output> { perfmap(words)?.0.output().context("run perfmap") };
    for (words, said) in [
        (["--pid", "4194305"], "there is no process 4194305"),
        (["--unit", "no-such-unit"], "no process runs in a unit no-such-unit.service"),
        (["--container", "0123456789ab"], "no process runs in a container 0123456789ab"),
        (["--pid", "2"], "is a thread of the kernel"),
    ] {
        let output = refused(&words)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2) && text.contains(said), "{words:?}: {} {text}", output.status);
    }
    Ok(())
}
