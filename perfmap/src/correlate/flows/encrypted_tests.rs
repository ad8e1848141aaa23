//! One TLS connection, with probes from any moment on: every request is there once.

use proptest::prelude::*;

use super::super::Protocol;
use super::*;
use crate::protocol::Decoder;
use crate::recording::{Layer, SocketId, TaskId};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const DATA: u8 = 23;
const HANDSHAKE: u8 = 22;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// :method GET, :scheme https, :path /, :authority h; ended with its head.
fn asked(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x82, 0x87, 0x84, 0x01, 0x01, b'h'])
}

/// :status 200, and a body.
fn answered(stream: u32) -> Vec<u8> {
    [frame(1, 4, stream, &[0x88]), frame(0, 1, stream, b"hi")].concat()
}

fn message(at: u64, layer: Layer, direction: Direction, bytes: u64, marks: Vec<Mark>) -> Message {
    let (task, socket) = (TaskId(0), SocketId(0));
    Message { at: Nanos(at), task, socket, layer, direction, bytes, descriptor: 3, marks, stack: None }
}

/// One end of a connection on which `requests` are asked and answered, probed from `probed` on.
struct End {
    messages: Vec<Message>,
    decoder: Decoder,
    probed: u64,
    now: u64,
}

impl End {
    fn wire(&mut self, direction: Direction, records: &[(u8, u16)]) {
        self.now += 10;
        let marks = records.iter().map(|(content, length)| Mark::TlsRecord { content: *content, length: *length });
        let bytes = records.iter().map(|(_, length)| u64::from(*length) + 5).sum();
        self.messages.push(message(self.now, Layer::Wire, direction, bytes, marks.collect()));
    }

    fn plain(&mut self, direction: Direction, plaintext: &[u8]) {
        self.now += 10;
        if self.now >= self.probed {
            let bytes = plaintext.len() as u64;
            let marks = self.decoder.feed(direction, plaintext, bytes);
            self.messages.push(message(self.now, Layer::Plaintext, direction, bytes, marks));
        }
    }

    /// A library is called before its bytes are sent, and returns after they were received.
    fn moves(&mut self, direction: Direction, plaintext: &[u8]) {
        let record = (DATA, plaintext.len() as u16 + 17);
        match direction {
            Direction::Sent => {
                self.plain(direction, plaintext);
                self.wire(direction, &[record]);
            }
            Direction::Received => {
                self.wire(direction, &[record]);
                self.plain(direction, plaintext);
            }
        }
    }

    fn new(client: bool, requests: usize, probed: u64) -> End {
        let (mut end, asks, answers) = End::shaken(client, probed);
        for _ in 0..requests {
            end.moves(asks, GET);
            end.moves(answers, OK);
        }
        end
    }

    /// After the handshake, with where requests and answers go.
    fn shaken(client: bool, probed: u64) -> (End, Direction, Direction) {
        let mut end = End { messages: Vec::new(), decoder: Decoder::new(), probed, now: 0 };
        let (asks, answers) =
            if client { (Direction::Sent, Direction::Received) } else { (Direction::Received, Direction::Sent) };
        end.wire(asks, &[(HANDSHAKE, 512)]);
        end.wire(answers, &[(HANDSHAKE, 122), (20, 1), (DATA, 1500)]);
        end.wire(asks, &[(20, 1), (DATA, 53)]);
        end.wire(answers, &[(DATA, 250), (DATA, 250)]);
        (end, asks, answers)
    }

    /// HTTP/2: where the server's settings are there before the first request is written, and where they are not.
    fn streams(client: bool, quick: bool, requests: u32, probed: u64) -> End {
        let (mut end, asks, answers) = End::shaken(client, probed);
        end.moves(asks, &[PREFACE, &frame(4, 0, 0, &[0, 2, 0, 0, 0, 0])].concat());
        if quick {
            end.moves(answers, &frame(4, 0, 0, &[0, 5, 0, 1, 0, 0]));
            end.moves(asks, &frame(4, 1, 0, &[]));
        }
        for number in (0..requests).map(|number| number * 2 + 1) {
            end.moves(asks, &asked(number));
            if number == 1 && !quick {
                end.moves(answers, &frame(4, 0, 0, &[0, 5, 0, 1, 0, 0]));
                end.moves(asks, &frame(4, 1, 0, &[]));
            }
            end.moves(answers, &answered(number));
        }
        end
    }

    fn read(&self) -> Encrypted {
        let (plain, wire): (Vec<&Message>, Vec<&Message>) =
            self.messages.iter().partition(|message| message.layer == Layer::Plaintext);
        read(&wire, &plain, None).unwrap()
    }

    /// Exchanges that were read, and those that were inferred.
    fn counts(&self) -> (usize, usize) {
        let all = self.read().exchanges;
        let read = all.iter().filter(|exchange| exchange.protocol != Protocol::Tls).count();
        (read, all.len() - read)
    }
}

#[test]
fn all_of_it_read() {
    for client in [true, false] {
        let end = End::new(client, 5, 0);
        assert_eq!(end.counts(), (5, 0));
        let Encrypted { client: direction, low, handshake, read, exchanges } = end.read();
        assert_eq!((direction == Direction::Sent, low, read), (client, false, Some(Protocol::Http1)));
        assert_eq!(handshake, Some(Nanos(20)));
        assert_eq!(exchanges[0].status, Some(200));
    }
}

#[test]
fn settings_that_are_answered_before_the_first_request_are_no_request() {
    for (client, quick) in [(true, true), (true, false), (false, true), (false, false)] {
        let end = End::streams(client, quick, 5, 0);
        assert_eq!((end.counts(), end.read().low), ((5, 0), false), "{client} {quick}");
    }
}

#[test]
fn settings_before_the_probes_are_no_request_either() {
    // Two turns with one request in them, before the second request's call.
    let whole = End::streams(true, false, 5, 0);
    let second = whole.messages.iter().filter(|message| asks(message)).nth(1).unwrap().at;
    let turns = |end: &End| {
        let wire: Vec<&Message> = end.messages.iter().filter(|message| message.layer == Layer::Wire).collect();
        tls::read(&wire, None).unwrap().exchanges.iter().filter(|turn| turn.received < second).count()
    };
    let end = End::streams(true, false, 5, second.0);
    assert_eq!((turns(&end), end.counts(), end.read().low), (2, (4, 1), false));
    let [first, ..] = &end.read().exchanges[..] else { panic!("none") };
    assert!(first.received.since(first.sent).0 > 40, "{first:?}: over both turns");
}

#[test]
fn requests_that_shared_a_turn_before_the_probes() {
    let (mut end, asks, answers) = End::shaken(true, u64::MAX);
    end.moves(asks, &[PREFACE, &frame(4, 0, 0, &[]), &asked(1), &asked(3), &asked(5)].concat());
    end.moves(answers, &[frame(4, 0, 0, &[]), answered(5), answered(1)].concat());
    // One of them is answered later.
    end.probed = 0;
    end.moves(asks, &asked(7));
    end.moves(answers, &[answered(3), answered(7)].concat());
    assert_eq!(end.counts(), (2, 2));
}

#[test]
fn streams_of_a_connection_that_is_older_than_the_recording() {
    let mut end = End { messages: Vec::new(), decoder: Decoder::new(), probed: u64::MAX, now: 0 };
    for number in [101, 103] {
        end.moves(Direction::Sent, &asked(number));
        end.moves(Direction::Received, &answered(number));
        end.probed = 0;
    }
    assert_eq!((end.counts(), end.read().low), ((1, 1), false));
}

#[test]
fn nothing_of_it_read() {
    let end = End::new(true, 5, u64::MAX);
    assert_eq!((end.counts(), end.read().read), ((0, 5), None));
}

#[test]
fn plaintext_of_no_known_protocol_leaves_the_turns() {
    let mut end = End::new(true, 3, u64::MAX);
    end.probed = 0;
    end.moves(Direction::Sent, b"\x00\x01\x02\x03");
    end.moves(Direction::Received, b"\x00\x01\x02\x03");
    assert_eq!(end.counts(), (0, 4));
}

#[test]
fn an_answer_without_its_request_is_the_turn_that_was_inferred() {
    // From the first answer's call on.
    let end = End::new(true, 3, 65);
    assert_eq!(end.messages.iter().filter(|message| message.layer == Layer::Plaintext).count(), 5);
    assert_eq!((end.counts(), end.read().low), ((2, 1), false));
}

/// A client whose library cannot be probed, and a server whose library can: what the server read counts.
#[test]
fn what_one_end_infers_the_other_may_have_read() {
    use super::super::{Counted, flows};
    use crate::recording::{Address, Event, Family, Process, ProcessId, Recording, Role, Socket, Task};
    let address = |port| Address { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1], port };
    let process = Process {
        pid: 1,
        parent: None,
        born: Nanos(0),
        died: None,
        ending: None,
        images: vec![],
        own_name: None,
        cpu: Nanos(0),
    };
    let mut recording = Recording { processes: vec![process.clone(), process], ..Recording::default() };
    for (number, (role, local, remote, probed)) in
        [(Role::Client, 40000, 443, u64::MAX), (Role::Server, 443, 40000, 0)].into_iter().enumerate()
    {
        let process = ProcessId(number as u32);
        recording.tasks.push(Task { tid: 1, process, maker: None, born: Nanos(0), died: None, comm: String::new() });
        recording.sockets.push(Socket {
            family: Family::Ipv4,
            kind: 1,
            local: Some(address(local)),
            remote: Some(address(remote)),
            role,
            sent_bytes: 9,
            received_bytes: 9,
            sent_messages: 1,
            received_messages: 1,
            ..Socket::unknown(process)
        });
        let (task, socket) = (TaskId(number as u32), SocketId(number as u32));
        let messages = End::new(role == Role::Client, 4, probed).messages;
        recording
            .events
            .extend(messages.into_iter().map(|message| Event::Message(Message { task, socket, ..message })));
    }
    recording.events.sort_by_key(Event::at);
    let flows = flows(&recording);
    assert_eq!(
        flows.peers.iter().map(|peer| (peer.round_trips, peer.counted)).collect::<Vec<_>>(),
        [(4, Counted::Exact)]
    );
    assert!(flows.round_trips.iter().all(|trip| trip.task == TaskId(0) && trip.route.as_deref() == Some("/a")));
}

proptest! {
    #[test]
    fn each_stream_once_whenever_the_probes_came(
        client in any::<bool>(), quick in any::<bool>(), requests in 1u32..8, probed in 0u64..450
    ) {
        let end = End::streams(client, quick, requests, probed);
        let (read, inferred) = end.counts();
        // Where nothing is read only turns are known, and the settings are one of them.
        if read > 0 {
            prop_assert_eq!(read + inferred, requests as usize);
        }
    }

    #[test]
    fn each_request_once_whenever_the_probes_came(client in any::<bool>(), requests in 0usize..8, probed in 0u64..450) {
        let end = End::new(client, requests, probed);
        let (read, inferred) = end.counts();
        prop_assert_eq!(read + inferred, requests);
        // Only what came before the probes is inferred.
        prop_assert!(inferred as u64 <= probed.saturating_sub(40).div_ceil(40));
        prop_assert!(!end.read().low);
    }
}
