//! One GET of HTTP/1.0 without TLS → the body, bounded in bytes and time, given up when the run ends. No redirects, no
//! credentials, no proxies.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpStream, ToSocketAddrs},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::pprof::NotAProfile;

const URL_BYTES: usize = 2048;
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
const CONNECTING: Duration = Duration::from_secs(1);
/// For a name and a connection together.
const REACHING: Duration = Duration::from_secs(5);
/// How often a waiting read looks whether the run is over.
const LOOK: Duration = Duration::from_millis(20);
/// Beyond the seconds that were asked for: a large program's profile takes its time to be written.
const LATE: Duration = Duration::from_secs(20);
/// Of an answer that is no profile.
const SHOWN: usize = 120;

/// `http://host:port/path?query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    pub port: u16,
    path: String,
    query: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    #[error("only http:// is read: no TLS client is built in")]
    NotHttp,
    #[error("an address has no user and no password here")]
    Credentials,
    #[error("this is no address")]
    Malformed,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the run is over")]
    Stopped,
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(std::io::Error),
    #[error("no answer in time")]
    Late,
    #[error("the answer is no HTTP")]
    NotHttp,
    #[error("the answer is larger than perfmap reads")]
    TooLarge,
    #[error("the answer ends too early")]
    Short,
    #[error("status {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("what it answers cannot be read: {0}")]
    NotAProfile(#[from] NotAProfile),
}

impl Address {
    pub fn parse(text: &str) -> Result<Address, NoAddress> {
        let rest = text.strip_prefix("http://").ok_or(NoAddress::NotHttp)?;
        if text.len() > URL_BYTES || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(NoAddress::Malformed);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(NoAddress::Credentials);
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let bracket = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority.rfind(':').filter(|at| *at > bracket) {
            Some(at) => (&authority[..at], authority[at + 1..].parse().map_err(|_| NoAddress::Malformed)?),
            None => (authority, 80),
        };
        if host.is_empty() || port == 0 {
            return Err(NoAddress::Malformed);
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Address { host: host.to_owned(), port, path: path.to_owned(), query })
    }

    /// Without the query, which may hold what is nobody's business.
    pub fn shown(&self) -> String {
        format!("http://{}:{}{}", self.host, self.port, self.path)
    }

    pub fn is_loopback(&self) -> bool {
        self.bare_host() == "localhost" || self.bare_host().parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// With the length of the reading, unless the user said one himself.
    fn target(&self, seconds: u64) -> String {
        match &self.query {
            Some(query) if query.split('&').any(|part| part.starts_with("seconds=")) => {
                format!("{}?{query}", self.path)
            }
            Some(query) if !query.is_empty() => format!("{}?{query}&seconds={seconds}", self.path),
            Some(_) | None => format!("{}?seconds={seconds}", self.path),
        }
    }

    /// The user's own length, else ours.
    fn seconds(&self, ours: u64) -> u64 {
        let own = self.query.as_deref().into_iter().flat_map(|query| query.split('&'));
        own.filter_map(|part| part.strip_prefix("seconds=")?.parse().ok()).next().unwrap_or(ours).min(3600)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.shown())
    }
}

/// Names and connections of one source. Looking a name up cannot be broken off (a resolver that does not answer takes half a
/// minute): a thread does it that nobody has to wait for, one at a time.
#[derive(Debug, Default)]
pub struct Connector {
    under_way: Option<Receiver<std::io::Result<TcpStream>>>,
}

impl Connector {
    /// What takes longer is asked after again by the next call.
    fn connect(&mut self, address: &Address, stop: &AtomicBool) -> Result<TcpStream, FetchError> {
        let address = address.clone();
        self.wait(move || reach(&address), REACHING, stop)
    }

    fn wait(
        &mut self,
        reach: impl FnOnce() -> std::io::Result<TcpStream> + Send + 'static,
        patience: Duration,
        stop: &AtomicBool,
    ) -> Result<TcpStream, FetchError> {
        let under_way = match self.under_way.take() {
            Some(under_way) => under_way,
            None => {
                let (sender, receiver) = channel();
                let started = thread::Builder::new().name("pprof-connect".into()).spawn(move || {
                    let _ = sender.send(reach()); // nobody may wait for it any more
                });
                started.map_err(FetchError::Connect)?;
                receiver
            }
        };
        let until = Instant::now() + patience;
        loop {
            match under_way.recv_timeout(LOOK) {
                Ok(reached) => return reached.map_err(FetchError::Connect),
                Err(RecvTimeoutError::Disconnected) => return Err(FetchError::Connect(ErrorKind::NotConnected.into())),
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err(FetchError::Stopped),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    self.under_way = Some(under_way);
                    return Err(FetchError::Connect(ErrorKind::TimedOut.into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn reach(address: &Address) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(ErrorKind::NotFound);
    for one in (address.bare_host(), address.port).to_socket_addrs()?.take(4) {
        match TcpStream::connect_timeout(&one, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub fn get(
    address: &Address,
    connector: &mut Connector,
    seconds: u64,
    most: u64,
    stop: &AtomicBool,
) -> Result<Vec<u8>, FetchError> {
    let mut stream = connector.connect(address, stop)?;
    let until = Instant::now() + Duration::from_secs(address.seconds(seconds)) + LATE;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {}:{}\r\nUser-Agent: perfmap\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        address.target(seconds),
        address.host,
        address.port
    );
    stream.set_read_timeout(Some(LOOK)).map_err(FetchError::Broken)?;
    stream.set_write_timeout(Some(CONNECTING)).map_err(FetchError::Broken)?;
    stream.write_all(request.as_bytes()).map_err(FetchError::Broken)?;
    let answer = read_all(&mut stream, most.saturating_add(HEAD_BYTES as u64), until, stop)?;
    body(&answer, most)
}

/// Up to the connection's end.
fn read_all(stream: &mut impl Read, most: u64, until: Instant, stop: &AtomicBool) -> Result<Vec<u8>, FetchError> {
    let (mut all, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(FetchError::Stopped);
        }
        if Instant::now() >= until {
            return Err(FetchError::Late);
        }
        match stream.read(&mut piece) {
            Ok(0) => return Ok(all),
            Ok(count) => all.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(error) => return Err(FetchError::Broken(error)),
        }
        if all.len() as u64 > most {
            return Err(FetchError::TooLarge);
        }
    }
}

fn body(answer: &[u8], most: u64) -> Result<Vec<u8>, FetchError> {
    if answer.is_empty() {
        return Err(FetchError::Short);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = answer.get(..HEAD_BYTES).unwrap_or(answer);
    let length = match response.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if answer.len() < HEAD_BYTES => return Err(FetchError::Short),
        Ok(httparse::Status::Partial) | Err(_) => return Err(FetchError::NotHttp),
    };
    let body = answer.get(length..).unwrap_or_default();
    let status = response.code.unwrap_or(0);
    if status != 200 {
        let text = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body)).into_owned();
        let text = text.lines().next().unwrap_or_default().trim().to_owned();
        return Err(FetchError::Refused { status, text });
    }
    let announced = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let announced = announced.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > body.len() as u64) {
        return Err(FetchError::Short);
    }
    if body.len() as u64 > most {
        return Err(FetchError::TooLarge);
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        net::TcpListener,
        sync::{Arc, atomic::AtomicU32},
    };

    #[test]
    fn addresses() {
        let parsed = Address::parse("http://127.0.0.1:6060/debug/pprof/profile").expect("an address");
        assert_eq!(parsed.target(3), "/debug/pprof/profile?seconds=3");
        assert!(parsed.is_loopback());
        let own = Address::parse("http://[::1]:80/p?gc=1&seconds=9").expect("an address");
        assert_eq!((own.target(1), own.seconds(1), own.is_loopback()), ("/p?gc=1&seconds=9".into(), 9, true));
        assert_eq!(own.shown(), "http://[::1]:80/p", "the query may hold a secret");
        assert_eq!(Address::parse("http://host?x=1").expect("an address").target(2), "/?x=1&seconds=2");
        for (text, why) in [
            ("https://host/", NoAddress::NotHttp),
            ("http://me:word@host/", NoAddress::Credentials),
            ("http://host:99999/", NoAddress::Malformed),
            ("http://host/\r\nX: y", NoAddress::Malformed),
            ("http:///", NoAddress::Malformed),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text}");
        }
    }

    /// Answers once with these bytes.
    fn server(answer: &'static [u8]) -> Address {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 512];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        });
        Address::parse(&format!("http://127.0.0.1:{port}/p")).expect("an address")
    }

    #[test]
    fn answers_are_bounded_and_failures_say_why() {
        let go = AtomicBool::new(false);
        let get = |answer, most| get(&server(answer), &mut Connector::default(), 1, most, &go);
        assert_eq!(get(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 10).expect("a body"), b"abc");
        let says = |result: Result<Vec<u8>, FetchError>| result.expect_err("refused").to_string();
        assert_eq!(says(get(b"HTTP/1.1 404 Not Found\r\n\r\nno page\nmore", 10)), "status 404: no page");
        assert_eq!(says(get(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 10)), "the answer ends too early");
        assert_eq!(says(get(b"HTTP/1.1 200 OK\r\n\r\nabcdefghijkl", 10)), "the answer is larger than perfmap reads");
        assert_eq!(says(get(b"hello, this is no web server\r\n\r\n", 10)), "the answer is no HTTP");
        let nobody = Address::parse("http://127.0.0.1:1/").expect("an address");
        assert!(matches!(super::get(&nobody, &mut Connector::default(), 1, 10, &go), Err(FetchError::Connect(_))));
    }

    #[test]
    fn the_end_of_the_run_ends_a_reading() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let silent = Address::parse(&format!("http://127.0.0.1:{port}/")).expect("an address");
        let stop = AtomicBool::new(true);
        assert!(matches!(get(&silent, &mut Connector::default(), 1, 10, &stop), Err(FetchError::Stopped)));
    }

    #[test]
    fn a_name_that_takes_long_holds_nobody() {
        let mut connector = Connector::default();
        let (asked, over) = (Arc::new(AtomicU32::new(0)), AtomicBool::new(true));
        let (go_on, waits) = channel::<()>();
        let count = Arc::clone(&asked);
        let slow = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = waits.recv();
            Err(ErrorKind::NotFound.into())
        };
        let (short, go) = (Duration::from_millis(40), AtomicBool::new(false));
        let late = |error: &FetchError| matches!(error, FetchError::Connect(why) if why.kind() == ErrorKind::TimedOut);
        assert!(late(&connector.wait(slow, short, &go).expect_err("nothing yet")));
        let another = || panic!("one at a time");
        assert!(late(&connector.wait(another, short, &go).expect_err("still the first")));
        // What it came to is told to who asks next.
        drop(go_on);
        let told = connector.wait(another, Duration::from_secs(20), &go).expect_err("not found");
        assert!(matches!(told, FetchError::Connect(why) if why.kind() == ErrorKind::NotFound));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // The run's end is not waited beyond.
        let began = Instant::now();
        let endless = || {
            thread::sleep(Duration::from_secs(30));
            Err(ErrorKind::NotFound.into())
        };
        assert!(matches!(connector.wait(endless, REACHING, &over), Err(FetchError::Stopped)));
        assert!(began.elapsed() < REACHING);
    }

    proptest! {
        #[test]
        fn any_answer_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
            let _ = body(&bytes, 50);
            let _ = Address::parse(&format!("http://{text}"));
        }
    }
}
