//! The three means of collecting, on the same program: the same steps and the same causes within what each can tell. What
//! is no eBPF runs without a single capability.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// perf events of one's own processes need no privilege up to this level.
const PARANOID: i32 = 2;

fn perf_is_allowed() -> Result<bool> {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").context("perf_event_paranoid")?;
    let level: i32 = level.trim().parse().context("a level")?;
    if level > PARANOID {
        eprintln!("not run: kernel.perf_event_paranoid is {level}");
    }
    Ok(level <= PARANOID)
}

/// `blurred_ms`: how far an end of a stretch may be off.
fn agrees(traced: &Traced, means: &str, blurred_ms: f64) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    for f in truth.functions()? {
        let wall = map.wall_of(&f.name);
        let off = (wall - f.wall_ms).abs();
        ensure!(
            off <= f.wall_ms * 0.05 + 2.0 * blurred_ms,
            "{means}: {} took {wall:.0} ms, truth {:.0} ms\n{}",
            f.name,
            f.wall_ms,
            traced.words()
        );
    }
    let waited = |function: &str, cause: &str| -> f64 {
        map.outermost(function).filter_map(|step| step.wait_ms.get(cause)).sum()
    };
    for (function, cause, least) in
        [("sleeps", "sleep", 1000.0), ("waits_for_child", "child", 300.0), ("asks", "sleep", 300.0)]
    {
        let found = waited(function, cause);
        ensure!(
            found >= least * 0.95 - 2.0 * blurred_ms,
            "{means}: {function} waited {found:.0} ms for {cause}\n{}",
            traced.words()
        );
    }
    // CPU time is the scheduler's own figure with every means.
    let computes = truth.functions()?.into_iter().find(|f| f.name == "computes").context("truth without computes")?;
    let cpu = map.cpu_ms("computes");
    ensure!(
        (cpu - computes.cpu_ms).abs() <= computes.cpu_ms * 0.05 + 2.0 * blurred_ms,
        "{means}: computes used {cpu:.0} ms of CPU, truth {:.0} ms\n{}",
        computes.cpu_ms,
        traced.words()
    );
    traced.owns_its_time()
}

fn traced(means: &str) -> Result<Traced> {
    let trace = Trace::workload("w88_backends", &[])?.options(&["--backend", means]);
    let trace = if means == "ebpf" { trace } else { trace.without_privilege() };
    trace.passes()
}

/// A machine without a free CPU has another class, and the program says whether it was one: `computes` took longer than it computed.
fn has_its_class(traced: &Traced, means: &str) -> Result<()> {
    let functions = traced.truth()?.functions()?;
    let beyond: f64 = functions.iter().filter(|f| f.name == "computes").map(|f| f.wall_ms - f.cpu_ms).sum();
    if beyond > functions.iter().map(|f| f.wall_ms).sum::<f64>() * 0.05 {
        return Ok(());
    }
    let class = traced.map()?.json["bottleneck_classification"].clone();
    ensure!(class == "Wait", "{means}: the class is {class}\n{}", traced.words());
    Ok(())
}

#[test]
fn all_tell_the_same_of_a_program() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for (means, blurred_ms) in [("ebpf", 10.0), ("perf", 25.0), ("procfs", 40.0)] {
        if means == "perf" && !perf_is_allowed()? {
            continue;
        }
        let traced = traced(means)?;
        agrees(&traced, means, blurred_ms)?;
        has_its_class(&traced, means)?;
    }
    Ok(())
}

/// HTTP on one connection, asked and answered by the program itself: a question each 50 ms, so that some are told apart.
const ASKS: &str = r#"
import http.client, http.server, threading, time
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
asking = http.client.HTTPConnection(*server.server_address)
for _ in range(12):
    asking.request("GET", "/")
    asking.getresponse().read()
    time.sleep(0.05)
"#;

/// Without eBPF the map has the far end of a connection, with no more exchanges than there were requests.
#[test]
fn exchanges_are_told_as_at_least() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    for means in ["perf", "procfs"] {
        if means == "perf" && !perf_is_allowed()? {
            continue;
        }
        let options = ["--no-baseline", "--backend", means];
        let traced = Trace::command(["/usr/bin/python3", "-c", ASKS]).options(&options).without_privilege().passes()?;
        let map = traced.map()?;
        let peers = map.json["peers"].as_array().context("no list of peers")?;
        let [peer] = &peers[..] else { anyhow::bail!("{means}: not the one far end: {peers:?}") };
        ensure!(peer["counted"] == "at least" && peer["connections"] == 1, "{means}: {peer}");
        ensure!(peer["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{means}: {peer}");
        // Bytes are the kernel's sums at the last look: whole questions and answers, and not more than twelve of each.
        let number = |key: &str| peer[key].as_u64().unwrap_or(0);
        ensure!((1..=12).contains(&number("round_trips")), "{means}: {peer}");
        ensure!(number("bytes_sent") > 0 && number("bytes_received") > 0, "{means}: {peer}");
        // What is not known is not claimed: no step has them.
        ensure!(map.steps.iter().all(|step| step.http_round_trips == 0), "{means}: {}", traced.words());
    }
    Ok(())
}

/// Stacks of native code without frame pointers, from perf's copies: the known split of CPU time.
#[test]
fn perf_unwinds_native_code() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !perf_is_allowed()? {
        return Ok(());
    }
    let options = ["--backend", "perf", "--freq", "999"];
    let traced = Trace::workload("w21_native", &["c"])?.options(&options).without_privilege().passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let all: f64 = truth.functions()?.iter().map(|f| f.cpu_ms).sum();
    for f in truth.functions()? {
        let (found, want) = (100.0 * map.cpu_ms(&f.name) / all, 100.0 * f.cpu_ms / all);
        ensure!(
            (found - want).abs() <= 3.0,
            "{}: {found:.1} % of the CPU time, truth {want:.1} %\n{}",
            f.name,
            traced.words()
        );
        ensure!(map.nested("main", &f.name), "{} does not lie under main: its stacks are cut short", f.name);
    }
    traced.owns_its_time()
}
