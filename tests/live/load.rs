//! `perfmap attach` on a server under load: every request is counted, by the server's own statistics, though most of them
//! are given up in detail to keep memory bounded.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, trace::until, turn};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::attach::Watching;

/// nginx with one worker, which counts its requests.
struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory for nginx")?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?.local_addr()?.port();
        let here = dir.path().display();
        // Debian's nginx writes below /var otherwise.
        let paths =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {here};"));
        let text = format!(
            "worker_processes 1; daemon off; pid {here}/pid; error_log {here}/errors;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; {}\n\
             server {{ listen 127.0.0.1:{port};\n\
             location = /status {{ stub_status; }}\n\
             location / {{ return 200 \"hello\\n\"; }} }} }}\n",
            paths.join(" ")
        );
        let file: PathBuf = dir.path().join("nginx.conf");
        std::fs::write(&file, text).context("write nginx.conf")?;
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.path().join("errors")).arg("-p").arg(dir.path()).arg("-c").arg(&file);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().context("start nginx")?;
        let server = Self { child, port, _dir: dir };
        until("nginx answers", || server.requests().is_ok())?;
        Ok(server)
    }

    /// So many requests it had answered before this one.
    fn requests(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("connect")?;
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").context("ask for the status")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("read the status")?;
        // "server accepts handled requests", and their numbers below.
        let line = text.lines().skip_while(|line| !line.starts_with("server accepts")).nth(1).context("no status")?;
        let number = line.split_whitespace().nth(2).context("no requests")?;
        Ok(number.parse::<u64>().context("a number")? - 1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        use nix::{sys::signal, unistd::Pid};
        // The worker goes with its master.
        let _ = signal::kill(Pid::from_raw(self.child.id() as i32), signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// So many requests over one connection, at most so many a second: on a slow machine it takes longer.
fn ask(port: u16, count: u32, rate: u32) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let began = Instant::now();
    let mut answer = vec![0; 4096];
    for number in 0..count {
        let due = Duration::from_secs(1) * number / rate;
        if let Some(early) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(early);
        }
        let request = format!("GET /{}/{number} HTTP/1.1\r\nHost: shop\r\n\r\n", ["item", "user"][number as usize % 2]);
        stream.write_all(request.as_bytes()).context("ask")?;
        let mut got = 0;
        while !answer[..got].ends_with(b"\r\n\r\nhello\n") {
            let more = stream.read(&mut answer[got..]).context("read an answer")?;
            ensure!(more > 0, "nginx closed the connection after {number} requests");
            got += more;
        }
    }
    Ok(())
}

fn number(value: &serde_json::Value, key: &str) -> Result<u64> {
    value[key].as_u64().with_context(|| format!("no number {key} in {value}"))
}

/// Messages that found no room, as the report says.
fn lost_messages(map: &Map) -> u64 {
    let warnings = map.json["warnings"].as_array().into_iter().flatten().filter_map(|line| line.as_str());
    let of =
        |line: &str| line.strip_suffix(" lost: socket messages dropped: round trips may be low")?.parse::<u64>().ok();
    warnings.filter_map(of).sum()
}

#[test]
fn five_thousand_requests_a_second_are_counted_in_bounded_memory() -> Result<()> {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 4_000;
    let Some(_turn) = turn()? else { return Ok(()) };
    let server = Server::start()?;
    let watching = Watching::begin(&["--pid", &server.child.id().to_string(), "--detail-memory", "2"])?;
    let before = server.requests()?;
    std::thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask(server.port, EACH, 5_000 / CLIENTS))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let answered = server.requests()? - before - 1;
    ensure!(answered == u64::from(CLIENTS * EACH), "nginx answered {answered} requests");
    let peak = watching.high_water()?;
    let map = watching.interrupt()?.map()?;

    // Both routes, and the two looks at the status while it was watched.
    let served = map.json["served"].as_array().context("no list `served`")?;
    let mut counted = 0;
    for entry in served {
        let count = number(entry, "count")?;
        match entry["endpoint"].as_str() {
            Some("GET /item/{id}" | "GET /user/{id}") => counted += count,
            Some("GET /status") => ensure!(count <= 2, "{entry}"),
            _ => anyhow::bail!("nobody asked for this: {entry}"),
        }
    }
    let lost = lost_messages(&map);
    let sure = served.iter().all(|entry| entry["counted"] == "exact");
    match lost {
        0 => ensure!(counted == answered && sure, "{counted} of {answered} requests counted, none lost: {served:?}"),
        // The question, the answer, or both were lost.
        lost => ensure!(
            counted <= answered && answered - counted <= lost && !sure,
            "{counted} of {answered} requests counted, {lost} messages lost: {served:?}"
        ),
    }
    // Two megabytes are fewer than 8,000 requests; what is given up is said.
    let run = &map.json["profiled_run"];
    ensure!(run["before_window_ms"].as_f64().is_some_and(|length| length > 0.0), "no window: {run}");
    ensure!(map.warnings().contains("was given up to keep memory bounded"), "not said: {}", map.warnings());
    let (owned, wall) = (map.owned_ms()?, map.wall_ms()?);
    ensure!((owned - wall).abs() <= wall * 0.01, "steps and remainders own {owned:.1} ms of {wall:.1} ms");
    ensure!(peak < 120.0, "perfmap took {peak:.0} MiB");
    Ok(())
}
