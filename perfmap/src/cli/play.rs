//! `perfmap play …`: the built-in example for the demo and the tests. `example` plays a test of three services, each a process
//! of its own: `api` takes one job, asks `tikal` (which computes) once and `mt-engine` (which sleeps) thirteen times, one after
//! the other. Real sockets, real CPU time, real waits; standard library only. Knows nothing of profiling.

use std::{
    ffi::OsString,
    hint::black_box,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

const USAGE: &str = "perfmap play example|api|tikal|mt-engine [--fast]";
/// Segments of the job: round trips to mt-engine.
const SEGMENTS: usize = 13;
const SEGMENT_BYTES: usize = 1000;
const LARGEST_BODY: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("usage: {USAGE}")]
    Usage,
    #[error("the example's {service}: {error}")]
    Service { service: &'static str, error: io::Error },
}

/// A tenth of all durations with `--fast`, for tests of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Real,
    Fast,
}

impl Pace {
    fn ms(self, ms: u64) -> Duration {
        Duration::from_millis(if self == Pace::Fast { ms / 10 } else { ms })
    }
}

/// Plays one part to its end; gives the exit code.
pub fn play(arguments: &[OsString]) -> Result<u8, PlayError> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let (part, pace) = match words.as_slice() {
        [part] => (*part, Pace::Real),
        [part, "--fast"] | ["--fast", part] => (*part, Pace::Fast),
        _ => return Err(PlayError::Usage),
    };
    let named = |service| move |error| PlayError::Service { service, error };
    match part {
        "example" => example(pace).map_err(named("test")),
        "api" => api(pace).map_err(named("api")),
        "tikal" => serve_as("tikal", move |_, body| Ok(extract_text(body, pace))).map_err(named("tikal")),
        "mt-engine" => {
            serve_as("mt-engine", move |_, body| Ok(handle_translate(body, pace))).map_err(named("mt-engine"))
        }
        _ => Err(PlayError::Usage),
    }
}

/// The test: one job, and what came back.
fn example(pace: Pace) -> io::Result<u8> {
    let api = Service::start("api", pace, Some("api"))?;
    let size = test_translate_job(&api)?;
    let expected = SEGMENTS * SEGMENT_BYTES;
    println!("translated {size} bytes in {SEGMENTS} segments");
    Ok(u8::from(size != expected))
}

#[inline(never)]
fn test_translate_job(api: &Service) -> io::Result<usize> {
    let answer = Connection::open(api.port)?.post("/jobs", b"{\"id\": 1}")?;
    String::from_utf8_lossy(&answer).trim().parse().map_err(io::Error::other)
}

/// Serves jobs until its parent closes its standard input; its two services live as long as it does.
fn api(pace: Pace) -> io::Result<u8> {
    let (tikal, engine) = (Service::start("tikal", pace, None)?, Service::start("mt-engine", pace, None)?);
    let ports = (tikal.port, engine.port);
    serve(move |_, _| process_job(ports, pace))
}

#[inline(never)]
fn process_job((tikal, engine): (u16, u16), pace: Pace) -> io::Result<Vec<u8>> {
    let translated = translate_binary(tikal, engine, pace)?;
    Ok(translated.len().to_string().into_bytes())
}

#[inline(never)]
fn translate_binary(tikal: u16, engine: u16, pace: Pace) -> io::Result<Vec<u8>> {
    let document = tikal_extract(tikal, &vec![b'd'; SEGMENTS * SEGMENT_BYTES])?;
    let segments: Vec<&[u8]> = document.chunks(SEGMENT_BYTES).collect();
    let translated = mt_translate(engine, &segments)?;
    Ok(merge_segments(&translated, pace))
}

/// One call to a service that computes.
#[inline(never)]
fn tikal_extract(port: u16, binary: &[u8]) -> io::Result<Vec<u8>> {
    let text = Connection::open(port)?.post("/extract", binary)?;
    if text.len() == binary.len() { Ok(text) } else { Err(io::Error::other("tikal lost some of the text")) }
}

/// Thirteen calls, one after the other, on one connection: what the map should point at.
#[inline(never)]
fn mt_translate(port: u16, segments: &[&[u8]]) -> io::Result<Vec<Vec<u8>>> {
    let mut connection = Connection::open(port)?;
    let mut translated = Vec::with_capacity(segments.len());
    for segment in segments {
        translated.push(connection.post("/translate", segment)?);
    }
    Ok(translated)
}

#[inline(never)]
fn merge_segments(segments: &[Vec<u8>], pace: Pace) -> Vec<u8> {
    compute(segments.concat(), pace.ms(60))
}

/// tikal's inside.
#[inline(never)]
fn extract_text(binary: &[u8], pace: Pace) -> Vec<u8> {
    compute(binary.to_vec(), pace.ms(900))
}

/// mt-engine's inside: it waits for something of its own.
#[inline(never)]
fn handle_translate(segment: &[u8], pace: Pace) -> Vec<u8> {
    std::thread::sleep(pace.ms(120));
    segment.iter().rev().copied().collect()
}

/// Uses this much of the thread's CPU time, in the function that called it: on a busy machine it takes longer, not less.
#[inline(always)]
fn compute(mut bytes: Vec<u8>, cpu: Duration) -> Vec<u8> {
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or(Duration::MAX);
    let end = used().saturating_add(cpu);
    let mut state = 1u32;
    while used() < end {
        for byte in &mut bytes {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            *byte = black_box(b'a' + (state >> 16) as u8 % 26);
        }
    }
    bytes
}

/// A child that plays one part, listening on a port that it announced. Ends, and is waited for, when this value goes.
struct Service {
    child: Child,
    port: u16,
}

impl Service {
    fn start(part: &'static str, pace: Pace, service_name: Option<&str>) -> io::Result<Service> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["play", part]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if pace == Pace::Fast {
            command.arg("--fast");
        }
        match service_name {
            Some(name) => command.env("OTEL_SERVICE_NAME", name),
            // Else a service would go by its caller's name.
            None => command.env_remove("OTEL_SERVICE_NAME"),
        };
        let mut service = Service { child: command.spawn()?, port: 0 };
        let mut line = String::new();
        if let Some(out) = service.child.stdout.take() {
            BufReader::new(out.take(16)).read_line(&mut line)?;
        }
        service.port = line.trim().parse().map_err(|_| io::Error::other(format!("{part} did not start")))?;
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A part ends when its standard input does: also when its parent was killed.
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("a service of the example stays: {error}");
        }
    }
}

/// Under a name that the process gives itself, as servers do.
fn serve_as(name: &str, answer: impl Fn(&str, &[u8]) -> io::Result<Vec<u8>> + Send + Sync + 'static) -> io::Result<u8> {
    if let Ok(name) = std::ffi::CString::new(name) {
        nix::sys::prctl::set_name(&name).map_err(io::Error::from)?;
    }
    serve(answer)
}

/// Announces a free port, answers POST requests on it, ends with standard input.
fn serve(answer: impl Fn(&str, &[u8]) -> io::Result<Vec<u8>> + Send + Sync + 'static) -> io::Result<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                // The other side going away is the usual end.
                let _ = Connection::over(stream).and_then(|mut c| c.answer_all(&*answer));
            });
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(0)
}

/// HTTP/1.1 with bodies of a known length, on a connection that stays open: enough for this example.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> io::Result<Connection> {
        Connection::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
    }

    fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: localhost"), body)?;
        let (first, answer) = self.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if first.contains(" 200 ") { Ok(answer) } else { Err(io::Error::other(format!("{path}: {first}"))) }
    }

    fn answer_all(&mut self, answer: &impl Fn(&str, &[u8]) -> io::Result<Vec<u8>>) -> io::Result<()> {
        while let Some((first, body)) = self.receive()? {
            let path = first.split(' ').nth(1).unwrap_or_default();
            match answer(path, &body) {
                Ok(body) => self.send("HTTP/1.1 200 OK", &body)?,
                Err(error) => self.send("HTTP/1.1 502 Bad Gateway", error.to_string().as_bytes())?,
            }
        }
        Ok(())
    }

    /// Head and body in one write, so that they travel together.
    fn send(&mut self, head: &str, body: &[u8]) -> io::Result<()> {
        let mut message = format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        message.extend_from_slice(body);
        self.0.get_mut().write_all(&message)
    }

    /// First line and body of the next message; None at the connection's end.
    fn receive(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let (mut first, mut length) = (String::new(), 0);
        if self.0.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().map_err(io::Error::other)?;
            }
        }
        if length > LARGEST_BODY {
            return Err(io::Error::other("the message is too long"));
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Some((first.trim().to_owned(), body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part in this process instead of a child: the same code, other threads.
    fn in_thread(answer: impl Fn(&str, &[u8]) -> io::Result<Vec<u8>> + Send + 'static) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                Connection::over(stream.unwrap()).unwrap().answer_all(&answer).unwrap();
            }
        });
        port
    }

    #[test]
    fn a_job_goes_through_all_services_and_comes_back_whole() {
        let tikal = in_thread(|_, body| Ok(extract_text(body, Pace::Fast)));
        let engine = in_thread(|_, body| Ok(handle_translate(body, Pace::Fast)));
        let answer = process_job((tikal, engine), Pace::Fast).unwrap();
        assert_eq!(answer, b"13000");
    }

    #[test]
    fn a_failing_service_is_an_error_and_no_hang() {
        let tikal = in_thread(|path, _| Err(io::Error::other(format!("{path} is closed"))));
        let error = process_job((tikal, 1), Pace::Fast).unwrap_err();
        assert!(error.to_string().contains("502"), "{error}");
    }

    #[test]
    fn compute_uses_the_cpu_time_asked_for_and_keeps_the_length() {
        let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let before = used();
        assert_eq!(compute(vec![0; 77], Duration::from_millis(20)).len(), 77);
        assert!(used() - before >= Duration::from_millis(20));
    }

    #[test]
    fn unknown_parts_are_a_usage_error() {
        for words in [vec![], vec!["nothing"], vec!["api", "--slow"]] {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            assert!(matches!(play(&words), Err(PlayError::Usage)));
        }
    }
}
