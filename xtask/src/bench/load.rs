//! A server under load with and without `perfmap attach`, alternating: nginx with one worker and wrk, once as fast as it goes
//! and once held at 5,000 requests a second by nginx itself. → throughput, what was counted of it, and what that took.

use super::table::{median, text};
use crate::shell::{output_of, release_binary, root};
use anyhow::{Context, Result, bail};
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Of wrk, in seconds.
const LENGTH: u32 = 6;
const CONNECTIONS: u32 = 16;
const PORT: u16 = 18_431;
/// The section's first line: what comes from here on is written anew.
pub const TITLE: &str = "## A server under load, attached to";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    Free,
    /// A second; requests that come earlier wait.
    Held(u32),
}

impl Rate {
    const ALL: [Self; 2] = [Self::Held(5_000), Self::Free];

    fn name(self) -> String {
        match self {
            Self::Free => "as fast as it goes".into(),
            Self::Held(rate) => format!("held at {rate}/s"),
        }
    }
}

/// One go of wrk.
#[derive(Debug, Clone, Copy, Default)]
struct Go {
    requests: f64,
    per_second: f64,
    /// CPU time of nginx's worker.
    worker_ms: f64,
    /// What perfmap says, where it watched.
    watched: Option<Watched>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    counted: f64,
    exact: bool,
    lost: f64,
    peak_mib: f64,
    cpu_ms: f64,
    bpf_ms: f64,
}

/// The page's section.
pub fn section(pairs: usize, scratch: &Path) -> Result<String> {
    let mut rows = String::new();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    for rate in Rate::ALL {
        let mut goes = [Vec::new(), Vec::new()];
        for pair in 0..pairs {
            // The first one of a pair takes turns.
            for watched in if pair % 2 == 0 { [false, true] } else { [true, false] } {
                let with = if watched { "with perfmap" } else { "alone" };
                eprintln!("under load, {}: pair {} of {pairs}: {with}", rate.name(), pair + 1);
                match go(rate, watched, scratch) {
                    Ok(go) => goes[usize::from(watched)].push(go),
                    Err(error) => eprintln!("  {error:#}"),
                }
            }
        }
        let [alone, with] = goes;
        rows.push_str(&lines(rate, &alone, &with));
    }
    let commit = output_of("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let mut page = format!("{TITLE}\n\n");
    let _ = writeln!(
        page,
        "nginx with one worker, wrk with {CONNECTIONS} connections for {LENGTH} s on the same machine, {pairs} pairs that alternate; medians. Commit\n\
         {commit}, load average before the first: {}. `counted` is perfmap's count beside wrk's own (which misses what was under way at\n\
         its end); `lost` are records that found no room; `worker` is the CPU time of nginx's worker for a request, the probes' included; `BPF` is\n\
         the kernel's count for a request; perfmap's own CPU time and peak memory are those until the end of watching.\n",
        load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    );
    page.push_str(
        "| load | perfmap | requests/s | ratio | worker µs | counted / wrk | exact | lost | BPF µs | own CPU µs | peak MiB |\n\
         |---|---|---:|---:|---:|---:|---|---:|---:|---:|---:|\n",
    );
    page.push_str(&rows);
    Ok(page)
}

/// `page` with its section replaced, or with one more.
pub fn with_section(page: &str, section: &str) -> String {
    let before = page.find(TITLE).map_or(page, |at| &page[..at]);
    format!("{}\n\n{section}", before.trim_end())
}

fn lines(rate: Rate, alone: &[Go], with: &[Go]) -> String {
    let of = |goes: &[Go], pick: &dyn Fn(&Go) -> Option<f64>| median(goes.iter().filter_map(pick).collect());
    let each = |goes: &[Go], pick: fn(&Go) -> f64| of(goes, &|go| Some(pick(go) / go.requests.max(1.0) * 1e3));
    let watched = |pick: fn(&Go, &Watched) -> f64| of(with, &|go| go.watched.map(|watched| pick(go, &watched)));
    let ratios: Vec<f64> = with.iter().zip(alone).map(|(with, alone)| with.per_second / alone.per_second).collect();
    let speed = |goes: &[Go]| text(of(goes, &|go| Some(go.per_second)), 0);
    let exact = with.iter().filter(|go| go.watched.is_some_and(|watched| watched.exact)).count();
    let name = rate.name();
    format!(
        "| {name} | no | {} | 1.000 | {} | | | | | | |\n| {name} | yes | {} | {} | {} | {} | {exact} of {} | {} | {} | {} | {} |\n",
        speed(alone),
        text(each(alone, |go| go.worker_ms), 1),
        speed(with),
        text(median(ratios), 3),
        text(each(with, |go| go.worker_ms), 1),
        text(watched(|go, watched| watched.counted / go.requests.max(1.0)), 5),
        with.len(),
        text(watched(|_, watched| watched.lost), 0),
        text(watched(|go, watched| watched.bpf_ms / go.requests.max(1.0) * 1e3), 2),
        text(watched(|go, watched| watched.cpu_ms / go.requests.max(1.0) * 1e3), 2),
        text(watched(|_, watched| watched.peak_mib), 0),
    )
}

fn go(rate: Rate, watched: bool, scratch: &Path) -> Result<Go> {
    let dir = scratch.join("load");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let server = Server::start(rate, &dir)?;
    let out = dir.join("map");
    let perfmap = watched.then(|| Perfmap::attach(server.0.id(), &out)).transpose()?;
    let worker = server.worker()?;
    let before = cpu_ms(worker)?;
    let seconds = format!("{LENGTH}s");
    let connections = CONNECTIONS.to_string();
    let url = format!("http://127.0.0.1:{PORT}/item/17");
    let wrk =
        Command::new("wrk").args(["-t1", "-c", &connections, "-d", &seconds, &url]).output().context("run wrk")?;
    let said = String::from_utf8_lossy(&wrk.stdout).into_owned();
    let worker_ms = cpu_ms(worker)? - before;
    let (requests, per_second) = totals(&said).with_context(|| format!("what wrk said: {said}"))?;
    let watched = perfmap.map(|perfmap| perfmap.finish(&out)).transpose()?;
    Ok(Go { requests, per_second, worker_ms, watched })
}

fn totals(said: &str) -> Option<(f64, f64)> {
    let requests = said.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let per_second = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    // An error page is answered faster than a page.
    (!said.contains("Non-2xx")).then_some((requests, per_second))
}

struct Server(Child);

impl Server {
    fn start(rate: Rate, dir: &Path) -> Result<Self> {
        let here = dir.display();
        let paths =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here};"));
        let (zone, limit) = match rate {
            Rate::Free => (String::new(), ""),
            Rate::Held(rate) => {
                (format!("limit_req_zone $server_name zone=all:1m rate={rate}r/s;"), "limit_req zone=all burst=1000;")
            }
        };
        let text = format!(
            "worker_processes 1; daemon off; pid {here}/pid; error_log {here}/errors crit;\nevents {{ worker_connections 256; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; {zone} {}\nserver {{ listen 127.0.0.1:{PORT}; root {here};\n\
             location / {{ {limit} try_files /page =404; }} }} }}\n",
            paths.join(" ")
        );
        // A file, because what `return` gives comes before nginx looks at limits.
        std::fs::write(dir.join("page"), "hello\n").context("write the page")?;
        std::fs::write(dir.join("nginx.conf"), text).context("write nginx.conf")?;
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.join("errors")).arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf"));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
        let server = Self(command.spawn().context("start nginx")?);
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", PORT)).is_ok() && server.worker().is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("nginx does not listen")
    }

    fn worker(&self) -> Result<u32> {
        let master = self.0.id();
        let file = format!("/proc/{master}/task/{master}/children");
        let children = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).context("nginx has no worker")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let _ = child.wait();
}

struct Perfmap(Child);

impl Perfmap {
    /// Comes back when it watches.
    fn attach(pid: u32, out: &Path) -> Result<Self> {
        let mut command = Command::new(release_binary());
        command.args(["attach", "--pid", &pid.to_string(), "--format", "json", "--out"]).arg(out);
        command.current_dir(root()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut perfmap = Self(command.spawn().context("start perfmap")?);
        let mut line = String::new();
        BufReader::new(perfmap.0.stderr.take().context("no standard error")?).read_line(&mut line)?;
        if !line.starts_with("watching") {
            bail!("perfmap began with {line:?}");
        }
        Ok(perfmap)
    }

    fn finish(mut self, out: &Path) -> Result<Watched> {
        let pid = self.0.id();
        let (cpu_ms, peak_mib) =
            (cpu_ms(pid)?, super::tool::high_water(&format!("/proc/{pid}/status")).unwrap_or_default());
        end(&mut self.0);
        let file = out.join("performance_map.json");
        let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let map: serde_json::Value = serde_json::from_slice(&text).context("read the map")?;
        let served = map["served"].as_array().context("no list `served`")?;
        Ok(Watched {
            counted: served.iter().filter_map(|entry| entry["count"].as_f64()).sum(),
            exact: served.iter().all(|entry| entry["counted"] == "exact"),
            lost: map["profiled_run"]["lost_events"].as_f64().unwrap_or_default(),
            peak_mib,
            cpu_ms,
            bpf_ms: map["profiled_run"]["bpf_run_time_ms"].as_f64().unwrap_or_default(),
        })
    }
}

impl Drop for Perfmap {
    /// Where something failed before its end.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time so far; the kernel counts in hundredths of a second for programs.
fn cpu_ms(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let fields = text.rsplit_once(')').context("no name")?.1;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says() {
        let said =
            "  4 threads\n  356355 requests in 10.02s, 52.00MB read\nRequests/sec:  35547.89\nTransfer/sec: 5MB\n";
        assert_eq!(totals(said), Some((356_355.0, 35_547.89)));
        assert_eq!(totals(&format!("{said}  Non-2xx or 3xx responses: 5\n")), None);
        assert_eq!(totals(""), None);
    }

    #[test]
    fn the_section_is_replaced_and_the_page_before_it_stays() {
        let page = with_section("# Overhead\n\ntable\n", &format!("{TITLE}\n\nold\n"));
        assert_eq!(page, format!("# Overhead\n\ntable\n\n{TITLE}\n\nold\n"));
        assert_eq!(with_section(&page, &format!("{TITLE}\n\nnew\n")), page.replace("old", "new"));
    }

    #[test]
    fn figures_are_medians_for_a_request() {
        let watched = Watched { counted: 1000.0, exact: true, lost: 0.0, peak_mib: 60.0, cpu_ms: 4.0, bpf_ms: 2.0 };
        let alone = [Go { requests: 1000.0, per_second: 500.0, worker_ms: 10.0, watched: None }];
        let with = [Go { requests: 1000.0, per_second: 400.0, worker_ms: 20.0, watched: Some(watched) }];
        assert_eq!(
            lines(Rate::Free, &alone, &with),
            "| as fast as it goes | no | 500 | 1.000 | 10.0 | | | | | | |\n\
             | as fast as it goes | yes | 400 | 0.800 | 20.0 | 1.00000 | 1 of 1 | 0 | 2.00 | 4.00 | 60 |\n"
        );
    }
}
