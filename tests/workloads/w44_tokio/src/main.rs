//! Requests over Tokio's event loop to `server.py`: one after another, joined in one task, in tasks of their own, and beside one
//! that computes. Each async function times itself; of one that runs several times at once the union counts.
//! usage: w44_tokio current|multi
use std::{
    collections::BTreeMap,
    future::Future,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

static START: OnceLock<Instant> = OnceLock::new();
static SPANS: Mutex<BTreeMap<&str, Vec<(u128, u128)>>> = Mutex::new(BTreeMap::new());
static PORT: OnceLock<u16> = OnceLock::new();

fn now() -> u128 {
    START.get_or_init(Instant::now).elapsed().as_nanos()
}

fn keep(name: &'static str, from: u128) {
    SPANS.lock().unwrap().entry(name).or_default().push((from, now()));
}

async fn timed<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let from = now();
    let result = work.await;
    keep(name, from);
    result
}

async fn connect() -> TcpStream {
    TcpStream::connect(("127.0.0.1", *PORT.get().unwrap())).await.unwrap()
}

async fn get(connection: &mut TcpStream, path: &str) {
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 512]);
    // Every body has 40 bytes.
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") || answer.len() < 40 {
        let count = connection.read(&mut part).await.unwrap();
        assert!(count > 0);
        answer.extend_from_slice(&part[..count]);
    }
}

async fn fetch_timer(connection: &mut TcpStream) {
    timed("fetch_timer", get(connection, "/timer")).await
}

async fn fetch_slow(connection: &mut TcpStream) {
    timed("fetch_slow", get(connection, "/slow")).await
}

async fn one_after_another() {
    let mut connection = connect().await;
    for _ in 0..10 {
        fetch_timer(&mut connection).await;
    }
}

async fn left() {
    let mut connection = connect().await;
    for _ in 0..8 {
        get(&mut connection, "/timer").await;
    }
}

async fn right() {
    let mut connection = connect().await;
    for _ in 0..3 {
        get(&mut connection, "/slow").await;
    }
}

/// Two that overlap, in one task.
async fn joined() {
    tokio::join!(timed("left", left()), timed("right", right()));
}

async fn worker() {
    let mut connection = connect().await;
    for _ in 0..4 {
        fetch_slow(&mut connection).await;
    }
}

/// Eight tasks.
async fn spawned() {
    let workers: Vec<_> = (0..8).map(|_| tokio::spawn(timed("worker", worker()))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[inline(never)]
fn hog() {
    let (from, end, mut x) = (now(), now() + 150_000_000, 1u32);
    while now() < end {
        for _ in 0..400 {
            x = std::hint::black_box(x.wrapping_mul(1103515245).wrapping_add(12345));
        }
    }
    keep("hog", from);
}

/// A request is answered after 20 ms, but what is beside it computes from 10 ms on.
async fn beside_hog() {
    let late = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        hog();
    };
    tokio::join!(timed("fetch_behind", fetch_behind()), late);
}

async fn fetch_behind() {
    let mut connection = connect().await;
    get(&mut connection, "/timer").await;
    get(&mut connection, "/slow").await;
}

async fn nap() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

async fn phases() {
    timed("one_after_another", one_after_another()).await;
    timed("joined", joined()).await;
    timed("spawned", spawned()).await;
    timed("beside_hog", beside_hog()).await;
    timed("nap", nap()).await;
}

fn serve() -> Child {
    let mut server = Command::new("python3")
        .args(["server.py", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
    PORT.set(line.trim().parse().unwrap()).unwrap();
    server
}

fn main() {
    let (begin, variant) = (now(), std::env::args().nth(1).unwrap());
    let mut server = serve();
    let mut builder = match variant.as_str() {
        "current" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(3).enable_all().build().unwrap().block_on(phases());
    Command::new("kill").arg(server.id().to_string()).status().unwrap();
    let mut said = String::new();
    server.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    server.wait().unwrap();
    write_truth(&variant, now() - begin);
}

fn write_truth(variant: &str, wall: u128) {
    let ms = |nanos: u128| nanos as f64 / 1e6;
    let mut functions = Vec::new();
    for (name, spans) in SPANS.lock().unwrap().iter_mut() {
        spans.sort();
        let (mut total, mut end) = (0, 0);
        for (from, to) in spans.iter() {
            total += to.saturating_sub((*from).max(end));
            end = end.max(*to);
        }
        functions.push(format!(
            r#"{{"function": "{name}", "calls": {}, "wall_ms": {}, "cpu_ms": 0, "wall_share_pct": {}}}"#,
            spans.len(),
            ms(total),
            100.0 * ms(total) / ms(wall)
        ));
    }
    let dir = std::env::var("TRUTH_DIR").unwrap_or_else(|_| "truth".into());
    std::fs::create_dir_all(&dir).unwrap();
    let functions = functions.join(", ");
    let truth = format!(r#"{{"schema": 1, "process": {{"wall_ms": {}}}, "functions": [{functions}]}}"#, ms(wall));
    std::fs::write(format!("{dir}/w44_tokio.{variant}.json"), truth).unwrap();
}
