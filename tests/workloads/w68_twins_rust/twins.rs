//! Faults of the catalogue in Rust, in one run, and the same work without them in another: twins several.bad | several.good.
//! Lines written to a file with no buffer before it; blocking calls one after the other, each
//! on a connection of its own; a mutex held while others could work. The work is measured by the program itself.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One connection, kept, over which blocking calls go.
struct Client {
    port: u16,
    answers: BufReader<TcpStream>,
}

impl Client {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { port, answers: BufReader::new(stream) })
    }

    #[inline(never)]
    fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        self.answers.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            self.answers.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        Ok(body)
    }
}

/// As a store would name it.
fn name(i: u64) -> String {
    let hash = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{hash:016x}{:016x}", hash.rotate_left(17).wrapping_mul(0xbf58_476d_1ce4_e5b9))
}

const ITEMS: u64 = 24;

#[inline(never)]
fn load_in_turn(port: u16) -> Result<()> {
    for i in 0..ITEMS {
        Client::open(port)?.get(&format!("/t/30/item/{}", name(i)))?;
    }
    Ok(())
}

#[inline(never)]
fn load_at_once(port: u16) -> Result<()> {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let load = || -> Result<()> {
            let mut client = Client::open(port)?;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= ITEMS {
                    return Ok(());
                }
                client.get(&format!("/t/30/item/{}", name(i)))?;
            }
        };
        let all: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread panicked")?)
    })
}

#[inline(never)]
fn write_lines(buffered: bool) -> Result<()> {
    let path = format!("scratch-{}", std::process::id());
    let file = File::create(&path)?;
    fs::remove_file(&path)?;
    let mut to: Box<dyn Write> = if buffered { Box::new(BufWriter::with_capacity(1 << 16, file)) } else { Box::new(file) };
    for i in 0..120_000 {
        to.write_all(format!("{i:039}\n").as_bytes())?;
    }
    Ok(to.flush()?)
}

#[inline(never)]
fn one_turn(shared: &Mutex<u64>, inside: bool) {
    if !inside {
        thread::sleep(Duration::from_millis(15));
    }
    let mut count = shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if inside {
        thread::sleep(Duration::from_millis(10));
    }
    *count += 1;
}

#[inline(never)]
fn take_turns(inside: bool) {
    let shared = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| one_turn(&shared, inside)));
        }
    });
}

fn work(port: u16, faulty: bool) -> Result<f64> {
    let began = Instant::now();
    if faulty { load_in_turn(port)? } else { load_at_once(port)? }
    write_lines(!faulty)?;
    take_turns(faulty);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn main() -> Result<()> {
    let variant = std::env::args().nth(1).ok_or("which twin?")?;
    let python = std::env::var("WL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut server =
        Command::new(python).arg("../w70_twins/serve.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut ports = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut ports)?;
    let port = ports.split_whitespace().next().ok_or("no port")?.parse()?;
    let wall = work(port, variant == "several.bad")?;
    drop(server.stdin.take());
    server.wait()?;
    let dir = std::env::var("TRUTH_DIR").unwrap_or_else(|_| "truth".to_owned());
    let functions = format!(r#"[{{"function": "twins::work", "wall_ms": {wall}}}]"#);
    let truth = format!(r#"{{"workload": "w68_twins_rust", "variant": "{variant}", "functions": {functions}}}"#);
    fs::write(format!("{dir}/w68_twins_rust.{variant}.json"), truth)?;
    Ok(())
}
