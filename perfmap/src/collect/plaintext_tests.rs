//! How plaintext finds its socket, without a kernel.

use super::*;
use crate::recording::CallStep;
use perfmap_common::{Header, Kind, Plain, StackHead};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const THREAD: u32 = 7;

fn record(connection: u64, sent: bool, bytes: usize) -> wire::Plaintext {
    wire::Plaintext {
        header: Header { kind: Kind::Plaintext as u32, pid: 5, tid: THREAD, cpu: 0, at: 1 },
        connection,
        socket: 0,
        bytes: bytes as u64,
        began: 0,
        captured: bytes as u32,
        flags: if sent { wire::PLAINTEXT_SENT } else { 0 },
        stack: StackHead::read(&[0; size_of::<StackHead>()]).unwrap(),
    }
}

#[derive(Default)]
struct Session(Plaintexts);

type Told = Option<(SocketId, Vec<Seen>)>;

impl Session {
    fn moved(&mut self, connection: u64, sent: bool, bytes: &[u8], socket: Option<u32>) -> Told {
        let when = (Nanos(1), TaskId(0), None);
        self.0.moved(&record(connection, sent, bytes.len()), bytes, socket.map(SocketId), when)
    }

    fn wire(&mut self, socket: u32, sent: bool, record: u64) -> Told {
        let direction = if sent { Direction::Sent } else { Direction::Received };
        let marks = [Mark::TlsRecord { content: 23, length: record as u16 }];
        self.0.transferred(THREAD, SocketId(socket), direction, record + 5, &marks)
    }
}

fn told(told: &Told) -> Option<(u32, Vec<&'static str>)> {
    let (socket, seen) = told.as_ref()?;
    let name = |mark: &Mark| match mark {
        Mark::Call { step: CallStep::Request { .. }, .. } => Some("request"),
        Mark::Call { step: CallStep::Response { .. }, .. } => Some("response"),
        Mark::Call { step: CallStep::ResponseEnd, .. } => Some("end"),
        _ => None,
    };
    Some((socket.0, seen.iter().flat_map(|seen| seen.marks.iter().filter_map(name)).collect()))
}

#[test]
fn a_call_that_used_its_socket_is_told_at_once() {
    let mut session = Session::default();
    assert_eq!(told(&session.moved(1, true, GET, Some(3))), Some((3, vec!["request"])));
    // Out of the library's buffer: no transfer in the call.
    assert_eq!(told(&session.moved(1, false, OK, None)), Some((3, vec!["response", "end"])));
}

#[test]
fn what_was_encrypted_to_memory_leaves_by_the_transfer_that_fits() {
    let mut session = Session::default();
    assert_eq!(session.moved(1, true, GET, None), None);
    assert_eq!(session.moved(2, true, OK, None), None);
    // A handshake's record, and one of another length.
    assert_eq!(session.wire(9, true, 53), None);
    let large = OK.len() as u64 + 17;
    assert_eq!(told(&session.wire(8, true, large)), Some((8, vec!["response", "end"])));
    assert_eq!(told(&session.wire(9, true, GET.len() as u64 + 24)), Some((9, vec!["request"])));
    // From here on both are known.
    assert_eq!(told(&session.moved(1, false, OK, None)), Some((9, vec!["response", "end"])));
}

#[test]
fn records_of_all_cipher_suites_fit() {
    let carries = |length, bytes| carries(&[Mark::TlsRecord { content: 23, length }], bytes);
    assert!(carries(117, 100) && carries(109, 100) && carries(116, 100) && carries(124, 100));
    assert!(carries(160, 100), "IV, 100 bytes, SHA-1, 8 of padding");
    assert!(!carries(100, 100) && !carries(118, 100) && !carries(99, 100) && !carries(400, 100));
    assert!(!super::carries(&[Mark::TlsRecord { content: 22, length: 117 }], 100), "a handshake's");
}

#[test]
fn a_write_longer_than_a_record_is_known_by_its_first_one() {
    let mut session = Session::default();
    let body = vec![b'x'; 100_000];
    assert_eq!(session.moved(1, true, &body, None), None);
    assert_eq!(told(&session.wire(4, true, (1 << 14) + 17)), Some((4, vec![])));
}

#[test]
fn a_server_reads_what_came_last() {
    let mut session = Session::default();
    assert_eq!(session.wire(6, false, GET.len() as u64 + 17), None);
    assert_eq!(told(&session.moved(1, false, GET, None)), Some((6, vec!["request"])));
    // The next connection's object does not take the same socket.
    assert_eq!(session.moved(2, false, GET, None), None);
    // More than what came in: it came by another way.
    assert_eq!(session.wire(7, false, 40), None);
    assert_eq!(session.moved(3, false, &[b'x'; 400], None), None);
}

#[test]
fn an_object_whose_socket_is_gone_is_another_connection() {
    let mut session = Session::default();
    session.moved(1, true, GET, Some(3));
    // Its response was never read: what comes next must not be taken for it.
    assert_eq!(session.0.gone(SocketId(3), Nanos(2)), None);
    assert_eq!(session.moved(1, true, GET, None), None);
    assert_eq!(told(&session.wire(5, true, GET.len() as u64 + 17)), Some((5, vec!["request"])));
    // One that changes its socket is another one, too.
    assert_eq!(told(&session.moved(1, true, GET, Some(6))), Some((6, vec!["request"])));
}

#[test]
fn a_response_that_ends_with_the_connection_is_complete_then() {
    let mut session = Session::default();
    session.moved(1, true, GET, Some(3));
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it";
    assert_eq!(told(&session.moved(1, false, head, None)), Some((3, vec!["response"])));
    assert_eq!(told(&session.0.ended(SocketId(3), Nanos(2))), Some((3, vec!["end"])));
    assert_eq!(session.0.ended(SocketId(3), Nanos(3)), None);
}

#[test]
fn a_process_that_is_over_leaves_nothing() {
    let mut session = Session::default();
    session.moved(1, true, GET, Some(3));
    session.moved(2, true, GET, None);
    session.wire(4, false, 100);
    session.0.exited(THREAD, Some(5));
    assert!(session.0.connections.is_empty() && session.0.of_socket.is_empty() && session.0.threads.is_empty());
}

/// A request with the same parameters has the same number on every connection of a run, through TLS or not.
#[test]
fn equal_requests_are_equal_on_all_connections() {
    fn repeats(marks: &[Mark]) -> Vec<u64> {
        let repeat = |mark: &Mark| match mark {
            Mark::Call { step: CallStep::Request { repeat, .. }, .. } => *repeat,
            _ => None,
        };
        marks.iter().filter_map(repeat).collect()
    }
    let asked = |value: &str| format!("*2\r\n$3\r\nGET\r\n${}\r\n{value}\r\n", value.len()).into_bytes();
    let key = RunKey::default();
    let mut session = Session(Plaintexts::new(key.clone()));
    let mut ask = |connection, socket, value| {
        let (_, seen) = session.moved(connection, true, &asked(value), Some(socket)).unwrap();
        let marks: Vec<Mark> = seen.into_iter().flat_map(|seen| seen.marks).collect();
        let [repeat] = repeats(&marks)[..] else { panic!("{marks:?}") };
        repeat
    };
    let first = ask(1, 3, "a");
    assert_eq!(ask(2, 4, "a"), first, "another connection");
    assert_ne!(ask(2, 4, "b"), first, "another parameter");
    let plain = Decoder::with_key(key).feed(Direction::Sent, &asked("a"), asked("a").len() as u64);
    assert_eq!(repeats(&plain), [first], "without TLS");
}

proptest::proptest! {
    /// Whatever is moved and transferred: a socket belongs to one object, and little is held.
    #[test]
    fn bounded_and_one_to_one(steps in proptest::collection::vec((0u64..4, 0u32..4, 0u8..4, 1usize..200), 0..900)) {
        let mut session = Session::default();
        for (connection, socket, kind, bytes) in steps {
            match kind {
                0 => { session.moved(connection, true, &vec![b'x'; bytes], None); }
                1 => { session.moved(connection, false, &vec![b'x'; bytes], (bytes % 3 == 0).then_some(socket)); }
                2 => { session.wire(socket, bytes % 2 == 0, bytes as u64); }
                _ => { session.0.gone(SocketId(socket), Nanos(0)); }
            }
            for (socket, key) in &session.0.of_socket {
                proptest::prop_assert_eq!(session.0.connections.get(key).and_then(|known| known.socket), Some(*socket));
            }
            proptest::prop_assert!(session.0.connections.values().all(|known| known.held.len() <= HELD));
            proptest::prop_assert!(session.0.threads.values().all(|thread| thread.written.len() <= WRITTEN));
        }
    }
}
