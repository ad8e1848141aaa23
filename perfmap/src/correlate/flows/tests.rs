//! Sessions written as what each side says, cut into transfers, run through the decoder and through `flows`.

mod earlier;

use proptest::prelude::*;

use super::*;
use crate::protocol::Decoder;
use crate::recording::{Address, Family, Mark, Process, StateChange, Task};

const CAPTURED: usize = 4096;

/// Connections between a client process 0 and a server process 1, or one that is not traced.
struct Session {
    recording: Recording,
    decoders: Vec<Decoder>,
    now: u64,
    server_traced: bool,
    /// Most bytes that one read returns.
    read: usize,
    port: u16,
}

fn ip(last: u8) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, last]
}

fn process() -> Process {
    Process {
        pid: 1,
        parent: None,
        born: Nanos(0),
        died: None,
        ending: None,
        images: vec![],
        own_name: None,
        cpu: Nanos(0),
    }
}

impl Session {
    fn new(server_traced: bool, read: usize) -> Session {
        let mut recording = Recording { processes: vec![process(), process()], ..Recording::default() };
        for process in 0..2 {
            recording.tasks.push(Task {
                tid: process,
                process: ProcessId(process),
                maker: None,
                born: Nanos(0),
                died: None,
                comm: String::new(),
            });
        }
        Session { recording, decoders: vec![], now: 0, server_traced, read, port: 8000 }
    }

    fn end(&mut self, role: Role, local: Address, remote: Address, process: u32) -> usize {
        let change = |at, from, to| StateChange { at: Nanos(at), from, to };
        let states = if role == Role::Client {
            vec![
                change(self.now, TcpState::Close, TcpState::SynSent),
                change(self.now + 30, TcpState::SynSent, TcpState::Established),
            ]
        } else {
            vec![]
        };
        self.recording.sockets.push(Socket {
            family: Family::Ipv4,
            kind: 1,
            kernel: 0,
            peer_kernel: 0,
            network: 0,
            local: Some(local),
            remote: Some(remote),
            role,
            process: ProcessId(process),
            first_seen: Nanos(self.now),
            states,
            closed: None,
            sent_bytes: 0,
            received_bytes: 0,
            sent_messages: 0,
            received_messages: 0,
        });
        self.decoders.push(Decoder::new());
        self.recording.sockets.len() - 1
    }

    /// The client's end; the server's, where traced, is the next one.
    fn connect(&mut self, from: u16) -> usize {
        let (local, remote) = (Address { ip: ip(1), port: from }, Address { ip: ip(1), port: self.port });
        let client = self.end(Role::Client, local, remote, 0);
        if self.server_traced {
            self.end(Role::Server, remote, local, 1);
        }
        self.now += 100;
        client
    }

    fn transfer(&mut self, socket: usize, direction: Direction, bytes: &[u8]) {
        self.now += 100;
        let captured = &bytes[..bytes.len().min(CAPTURED)];
        let marks = self.decoders[socket].feed(direction, captured, bytes.len() as u64);
        self.record(socket, direction, bytes.len() as u64, marks);
    }

    fn record(&mut self, socket: usize, direction: Direction, bytes: u64, marks: Vec<Mark>) {
        let process = self.recording.sockets[socket].process.0;
        let sums = &mut self.recording.sockets[socket];
        match direction {
            Direction::Sent => sums.sent_bytes += bytes,
            Direction::Received => sums.received_bytes += bytes,
        }
        self.recording.events.push(Event::Message(Message {
            at: Nanos(self.now),
            task: TaskId(process),
            socket: SocketId(socket as u32),
            layer: Layer::Wire,
            direction,
            bytes,
            descriptor: 3,
            marks,
            stack: None,
        }));
    }

    fn ask(&mut self, client: usize, bytes: &[u8]) {
        self.transfer(client, Direction::Sent, bytes);
        if self.server_traced {
            for part in bytes.chunks(self.read) {
                self.transfer(client + 1, Direction::Received, part);
            }
        }
    }

    fn answer(&mut self, client: usize, bytes: &[u8]) {
        if self.server_traced {
            self.transfer(client + 1, Direction::Sent, bytes);
        }
        for part in bytes.chunks(self.read) {
            self.transfer(client, Direction::Received, part);
        }
    }

    /// Several sends of the server that the client reads at once.
    fn answers(&mut self, client: usize, sends: &[&[u8]]) {
        if self.server_traced {
            for bytes in sends {
                self.transfer(client + 1, Direction::Sent, bytes);
            }
        }
        for part in sends.concat().chunks(self.read) {
            self.transfer(client, Direction::Received, part);
        }
    }

    fn close(&mut self, client: usize) {
        for socket in client..=client + usize::from(self.server_traced) {
            self.now += 100;
            let marks = self.decoders[socket].closed();
            self.record(socket, Direction::Received, 0, marks);
            self.recording.sockets[socket].closed = Some(Nanos(self.now));
        }
    }

    fn flows(&self) -> Flows {
        flows(&self.recording)
    }
}

const GET: &[u8] = b"GET /item/17?q=1 HTTP/1.1\r\nHost: shop\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

/// Round trips, failed requests, connections, and how the single peer's were counted.
fn counts(flows: &Flows) -> (u64, u64, u64, Counted) {
    assert_eq!(flows.peers.len(), 1, "{:?}", flows.peers);
    let peer = &flows.peers[0];
    assert_eq!(peer.round_trips as usize, flows.round_trips.len());
    assert_eq!(peer.failed as usize, flows.failed.len());
    (peer.round_trips, peer.failed, peer.connections, peer.counted)
}

/// Both with the server's end traced and without, with large and small reads.
fn each(script: impl Fn(&mut Session), expected: (u64, u64, u64, Counted)) {
    for traced in [true, false] {
        for read in [65536, 1000, 7, 1] {
            let mut session = Session::new(traced, read);
            script(&mut session);
            assert_eq!(counts(&session.flows()), expected, "server traced: {traced}, reads of {read}");
        }
    }
}

#[test]
fn keep_alive_and_a_connection_each() {
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..120 {
                session.ask(client, GET);
                session.answer(client, OK);
            }
            session.close(client);
        },
        (120, 0, 1, Counted::Exact),
    );
    each(
        |session| {
            for port in 0..120 {
                // Ports are used again.
                let client = session.connect(4000 + port % 7);
                session.ask(client, GET);
                session.answer(client, OK);
                session.close(client);
            }
        },
        (120, 0, 120, Counted::Exact),
    );
}

#[test]
fn what_a_round_trip_says() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, &GET[..10]);
    session.ask(client, &GET[10..]);
    session.answer(client, &OK[..OK.len() - 1]);
    session.answer(client, &OK[OK.len() - 1..]);
    let flows = session.flows();
    assert_eq!(flows.pairs, [Some(SocketId(1)), Some(SocketId(0))]);
    assert_eq!(
        flows.round_trips,
        [RoundTrip {
            socket: SocketId(0),
            server_socket: Some(SocketId(1)),
            inbound: false,
            sent: Nanos(200),
            received: Nanos(900),
            task: TaskId(0),
            stack: None,
            protocol: Protocol::Http1,
            method: Some("GET".into()),
            route: Some("/item/{id}".into()),
            status: Some(200),
            refused: false,
            repeat: None,
            request_bytes: GET.len() as u64,
            response_bytes: OK.len() as u64,
            counted: Counted::Exact,
            peer: Some(0),
        }]
    );
    let latency = Nanos(700);
    assert_eq!(
        flows.peers,
        [PeerFlow {
            endpoint: Endpoint::Internet { datagrams: false, remote: Address { ip: ip(1), port: 8000 }, network: 0 },
            address: "127.0.0.1:8000".into(),
            process: Some(ProcessId(1)),
            host: Some("shop".into()),
            protocol: "http/1.1".into(),
            round_trips: 1,
            failed: 0,
            connections: 1,
            failed_connects: 0,
            bytes_sent: GET.len() as u64,
            bytes_received: OK.len() as u64,
            latency: Some(Latency { min: latency, median: latency, p95: latency, max: latency }),
            connect: Some(Nanos(30)),
            tls_handshake: None,
            counted: Counted::Exact,
            local: true,
        }]
    );
}

#[test]
fn pipelined_in_one_send() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, &GET.repeat(12));
            session.answers(client, &[OK; 12]);
            session.close(client);
        },
        (12, 0, 1, Counted::Exact),
    );
}

#[test]
fn pipelined_answers_beyond_what_is_captured() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".as_slice(), &[b'x'; 500]].concat();
    for traced in [true, false] {
        let mut session = Session::new(traced, 65536);
        let client = session.connect(4000);
        session.ask(client, &GET.repeat(12));
        session.answers(client, &[answer.as_slice(); 12]);
        session.close(client);
        // The server's end saw each; without it, the hidden ones are neither counted nor called failed.
        let expected = if traced { (12, 0, 1, Counted::Exact) } else { (8, 0, 1, Counted::AtLeast) };
        assert_eq!(counts(&session.flows()), expected);
    }
}

#[test]
fn a_gap_before_further_requests() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".as_slice(), &[b'x'; 500]].concat();
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    session.ask(client, &GET.repeat(12));
    session.answers(client, &[answer.as_slice(); 12]);
    let later = session.now;
    session.ask(client, GET);
    session.answer(client, OK);
    session.close(client);
    let flows = session.flows();
    assert_eq!(counts(&flows), (9, 0, 1, Counted::AtLeast));
    assert_eq!(flows.round_trips[8].sent, Nanos(later + 100));
}

#[test]
fn a_client_known_by_its_server_only() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    session.recording.sockets[client].role = Role::Unknown;
    session.recording.sockets[client].states.clear();
    session.recording.events.retain(|event| !matches!(event, Event::Message(message) if message.socket == SocketId(0)));
    let flows = session.flows();
    assert_eq!(counts(&flows), (1, 0, 1, Counted::Exact));
    assert!(!flows.round_trips[0].inbound);
}

#[test]
fn tls_in_a_tunnel() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n");
            session.answer(client, b"HTTP/1.1 200 Established\r\n\r\n");
            handshake_13(session, client, true);
            session.answer(client, &record(23, 300));
            session.ask(client, &record(23, 150));
            session.answer(client, &record(23, 300));
            session.close(client);
        },
        (3, 0, 1, Counted::Inferred),
    );
}

#[test]
fn bodies_of_every_framing() {
    let large = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        [b"7d0\r\n".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat().repeat(20),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..5 {
                // Chunks beyond what is captured: one request outstanding, nothing can hide.
                session.ask(client, GET);
                session.answer(client, &large);
            }
            session.ask(client, b"HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n");
            session.answer(client, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 204 No Content\r\n\r\n");
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
            session.ask(client, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
            session.answer(client, b"HTTP/1.1 100 Continue\r\n\r\n");
            session.ask(client, b"ab");
            session.answer(client, OK);
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts");
            session.answer(client, &[b'x'; 9000]);
            session.close(client);
        },
        (10, 0, 1, Counted::Exact),
    );
}

#[test]
fn redirects_count_each_hop() {
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..3 {
                session.ask(client, GET);
                session.answer(client, b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
            }
            session.ask(client, GET);
            session.answer(client, OK);
            session.close(client);
        },
        (4, 0, 1, Counted::Exact),
    );
}

#[test]
fn a_websocket_counts_its_upgrade() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"GET /ws HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            session.answer(client, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
            for _ in 0..200 {
                session.ask(client, b"\x81\x82abcdxy");
                session.answer(client, b"\x81\x05ackxy");
            }
            session.close(client);
        },
        (1, 0, 1, Counted::Exact),
    );
}

#[test]
fn answered_before_the_body_was_sent() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc");
            session.answer(client, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
            session.ask(client, &[b'x'; 5000]);
            session.close(client);
        },
        (1, 0, 1, Counted::Exact),
    );
}

#[test]
fn requests_without_a_whole_answer_failed() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, GET);
            session.answer(client, OK);
            session.ask(client, GET);
            session.close(client);
            let client = session.connect(4001);
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nabc");
            session.close(client);
        },
        (1, 2, 2, Counted::Exact),
    );
}

#[test]
fn refused_and_unused_connections() {
    let mut session = Session::new(false, 65536);
    session.connect(4000);
    let refused = session.connect(4001);
    session.recording.sockets[refused].states[1].to = TcpState::Close;
    session.recording.sockets[1].sent_bytes = 0;
    let flows = session.flows();
    // Neither moved a byte; one was established.
    assert_eq!(counts(&flows), (0, 0, 1, Counted::Exact));
    assert_eq!((flows.peers[0].failed_connects, flows.peers[0].protocol.as_str()), (1, "tcp"));
}

#[test]
fn a_server_alone_is_inbound() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    // Forget the client's end.
    let mut recording = session.recording;
    recording.sockets.remove(0);
    recording.events.retain(|event| matches!(event, Event::Message(message) if message.socket == SocketId(1)));
    for event in &mut recording.events {
        if let Event::Message(message) = event {
            message.socket = SocketId(0);
        }
    }
    let flows = flows(&recording);
    assert_eq!(flows.peers, []);
    assert_eq!(flows.round_trips.len(), 1);
    assert!(flows.round_trips[0].inbound && flows.round_trips[0].peer.is_none());
}

#[test]
fn lost_records_weaken_the_count() {
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    session.recording.losses.add(Loss::RingFullMessage, 1);
    assert_eq!(counts(&session.flows()), (1, 0, 1, Counted::AtLeast));
}

#[test]
fn a_client_that_speaks_before_its_server_accepts() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.close(client);
    session.recording.sockets[client + 1].first_seen = Nanos(session.now + 5);
    assert_eq!(session.flows().pairs, [Some(SocketId(1)), Some(SocketId(0))]);
}

fn record(content: u8, length: u16) -> Vec<u8> {
    let mut bytes = vec![content, 3, 3];
    bytes.extend(length.to_be_bytes());
    bytes.resize(bytes.len() + usize::from(length), 0x5a);
    bytes
}

fn handshake_13(session: &mut Session, client: usize, with_request: bool) {
    session.ask(client, &record(22, 512));
    session.answer(
        client,
        &[record(22, 122), record(20, 1), record(23, 40), record(23, 900), record(23, 280), record(23, 69)].concat(),
    );
    let mut finished = [record(20, 1), record(23, 69)].concat();
    if with_request {
        finished.extend(record(23, 150));
    }
    session.ask(client, &finished);
    session.answer(client, &[record(23, 250), record(23, 250)].concat());
}

#[test]
fn tls_13_turns() {
    each(
        |session| {
            let client = session.connect(4000);
            handshake_13(session, client, false);
            for number in 0..20 {
                session.ask(client, &record(23, 150));
                if number % 3 == 0 {
                    // A body of several records.
                    session.ask(client, &[record(23, 16401), record(23, 16401), record(23, 900)].concat());
                }
                session.answer(client, &record(23, 300));
                session.answer(client, &record(23, 16401));
            }
            // close_notify, both ways.
            session.ask(client, &record(23, 19));
            session.answer(client, &record(23, 19));
            session.close(client);
        },
        (20, 0, 1, Counted::Inferred),
    );
    each(
        |session| {
            for port in 4000..4020 {
                let client = session.connect(port);
                handshake_13(session, client, port % 2 == 0);
                if port % 2 == 1 {
                    session.ask(client, &record(23, 150));
                }
                session.answer(client, &record(23, 300));
                session.ask(client, &record(23, 19));
                session.close(client);
            }
        },
        (20, 0, 20, Counted::Inferred),
    );
}

#[test]
fn tls_12_turns() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, &record(22, 300));
            session.answer(client, &[record(22, 80), record(22, 900), record(22, 300), record(22, 4)].concat());
            session.ask(client, &[record(22, 37), record(20, 1), record(22, 40)].concat());
            session.answer(client, &[record(22, 202), record(20, 1), record(22, 40)].concat());
            for length in [53, 69, 19, 800] {
                session.ask(client, &record(23, length));
                session.answer(client, &record(23, 300));
            }
            session.ask(client, &record(21, 26));
            session.close(client);
        },
        (4, 0, 1, Counted::Inferred),
    );
}

#[test]
fn tls_invents_nothing() {
    each(
        |session| {
            // Only a handshake, then a server that speaks alone.
            let client = session.connect(4000);
            handshake_13(session, client, false);
            session.answer(client, &record(23, 100));
            session.answer(client, &record(23, 100));
            session.ask(client, &record(23, 19));
            session.close(client);
        },
        (0, 0, 1, Counted::Exact),
    );
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    handshake_13(&mut session, client, false);
    let flows = session.flows();
    assert_eq!((flows.peers[0].protocol.as_str(), flows.peers[0].tls_handshake), ("tls", Some(Nanos(200))));
}

/// As Python's ssl module reads: the header, then the body.
#[test]
fn tls_read_header_by_header() {
    each(
        |session| {
            let client = session.connect(4000);
            handshake_13(session, client, false);
            for _ in 0..20 {
                session.ask(client, &record(23, 150));
                let answer = record(23, 5000);
                session.answer(client, &answer[..5]);
                session.answer(client, &answer[5..]);
            }
            session.close(client);
        },
        (20, 0, 1, Counted::Inferred),
    );
}

#[test]
fn unix_ends_by_kernel_address() {
    let mut session = Session::new(true, 65536);
    let first = session.connect(4000);
    for (index, kernel, peer) in [(first, 10, 11), (first + 1, 11, 0)] {
        let socket = &mut session.recording.sockets[index];
        (socket.family, socket.local, socket.remote) = (Family::Unix, None, None);
        (socket.kernel, socket.peer_kernel) = (kernel, peer);
        socket.states.clear();
    }
    session.ask(first, GET);
    session.answer(first, OK);
    let flows = session.flows();
    assert_eq!(flows.pairs, [Some(SocketId(1)), Some(SocketId(0))]);
    assert_eq!(counts(&flows), (1, 0, 1, Counted::Exact));
    assert_eq!((flows.peers[0].address.as_str(), flows.peers[0].process), ("unix", Some(ProcessId(1))));
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        Just(Mark::HttpRequest {
            method: crate::recording::WebMethod("GET".into()),
            target: "/1".into(),
            host: None,
            expects_continue: false,
            upgrade: false
        }),
        Just(Mark::HttpRequestEnd),
        (99_u16..600).prop_map(|status| Mark::HttpResponse { status, upgrade: false }),
        Just(Mark::HttpResponseEnd),
        Just(Mark::HttpDesync),
        (any::<u8>(), any::<u16>()).prop_map(|(content, length)| Mark::TlsRecord { content, length }),
        (20_u8..24, 15_u16..70).prop_map(|(content, length)| Mark::TlsRecord { content, length }),
        Just(Mark::TlsDesync),
        Just(Mark::Upgraded),
    ]
}

#[test]
fn loopback_addresses_mean_something_in_their_own_network_alone() {
    let mut session = Session::new(true, 4096);
    let left = session.connect(40000);
    let right = session.connect(40000);
    for (first, network) in [(left, 1), (right, 2)] {
        session.recording.sockets[first].network = network;
        session.recording.sockets[first + 1].network = network;
    }
    // Seen the other way round: by time alone left would belong to right.
    session.recording.sockets[left + 1].first_seen = Nanos(900);
    let pairs = session.flows().pairs;
    assert_eq!(pairs, [1, 0, 3, 2].map(|other| Some(SocketId(other))));
    session.recording.sockets[left + 1].network = 3;
    session.recording.sockets[right + 1].network = 4;
    assert_eq!(session.flows().pairs, [None; 4]);
}

/// A published port: the client asks 127.0.0.9:80, the server answers from 127.0.0.2:8000.
fn published(session: &mut Session, from: u16, seen_as: Address) -> usize {
    let (source, asked) = (Address { ip: ip(1), port: from }, Address { ip: ip(9), port: 80 });
    let client = session.end(Role::Client, source, asked, 0);
    let server = session.end(Role::Server, Address { ip: ip(2), port: 8000 }, seen_as, 1);
    let made = Nanos(session.now + 35);
    session.recording.sockets[server].states =
        vec![StateChange { at: made, from: TcpState::SynReceived, to: TcpState::Established }];
    client
}

#[test]
fn rewritten_connections_are_joined_by_what_is_left_and_by_time() {
    let mut session = Session::new(true, 4096);
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    published(&mut session, 40002, Address { ip: ip(7), port: 40002 });
    assert_eq!(session.flows().pairs, [1, 0, 3, 2].map(|other| Some(SocketId(other))));
    // Established before it was asked for, or long after: somebody else's.
    session.recording.sockets[0].states[0].at = Nanos(36);
    session.recording.sockets[3].states[0].at = Nanos(60_000_000);
    assert_eq!(session.flows().pairs, [None; 4]);
}

#[test]
fn two_candidates_are_none() {
    let mut session = Session::new(true, 4096);
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    assert_eq!(session.flows().pairs, [None; 4]);
}

proptest! {
    #[test]
    fn total_over_any_marks(
        messages in proptest::collection::vec((0_usize..4, any::<bool>(), 0_u64..u64::MAX / 128, proptest::collection::vec(any_mark(), 0..5)), 0..60),
    ) {
        let mut session = Session::new(true, 65536);
        session.connect(4000);
        session.connect(4000);
        for (socket, sent, bytes, marks) in messages {
            session.now += 1;
            let direction = if sent { Direction::Sent } else { Direction::Received };
            session.record(socket, direction, bytes, marks);
        }
        let flows = session.flows();
        let outbound = flows.round_trips.iter().filter(|trip| !trip.inbound).count() as u64;
        prop_assert_eq!(flows.peers.iter().map(|peer| peer.round_trips).sum::<u64>(), outbound);
        for (index, pair) in flows.pairs.iter().enumerate() {
            if let Some(pair) = pair {
                prop_assert_eq!(flows.pairs[pair.0 as usize], Some(SocketId(index as u32)));
            }
        }
        for trip in &flows.round_trips {
            prop_assert!(trip.sent <= trip.received);
        }
        prop_assert_eq!(&flows, &session.flows());
    }
}
