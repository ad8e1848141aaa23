//! Sessions written as what each side says, cut into transfers, run through the decoder and through `flows`.

mod earlier;
mod http;
mod pairs;
mod tls;

use proptest::prelude::*;

use super::*;
use crate::protocol::Decoder;
use crate::recording::{Address, CallStep, Family, Mark, Process, StateChange, Task, WebMethod};

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
            local: Some(local),
            remote: Some(remote),
            role,
            first_seen: Nanos(self.now),
            states,
            ..Socket::unknown(ProcessId(process))
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

fn step() -> impl Strategy<Value = CallStep> {
    prop_oneof![
        Just(CallStep::Request {
            method: Some(WebMethod("GET".into())),
            operation: Some("/1".into()),
            host: None,
            repeat: None
        }),
        Just(CallStep::RequestEnd),
        (99_u16..600).prop_map(|status| CallStep::Response { status: Some(status), failed: false }),
        Just(CallStep::ResponseEnd),
        Just(CallStep::Abandoned),
        Just(CallStep::Desync),
    ]
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        step().prop_map(|step| Mark::Call { wire: Wire::Http1, stream: 0, step }),
        (step(), 0_u32..3).prop_map(|(step, stream)| Mark::Call { wire: Wire::Http2, stream, step }),
        (any::<u8>(), any::<u16>()).prop_map(|(content, length)| Mark::TlsRecord { content, length }),
        (20_u8..24, 15_u16..70).prop_map(|(content, length)| Mark::TlsRecord { content, length }),
        Just(Mark::TlsDesync),
        Just(Mark::Upgraded),
    ]
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
