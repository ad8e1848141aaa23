//! Runs as the rules' tests tell them: a program whose functions make calls, in milliseconds, and its map.

use super::{Answer, Facts, RULES, Suspicion, Verdict};
use crate::{
    analyze::fixture::{ms, step},
    correlate::{Cause, Correlated, Counted, PeerFlow, Protocol, RoundTrip, Said, Wait},
    map::{Location, Map, Step},
    recording::*,
    resolve::{Language, Place, PlaceId, Resolved},
};

pub(super) struct Run {
    pub recording: Recording,
    pub resolved: Resolved,
    pub correlated: Correlated,
    pub map: Map,
}

/// One step, `load` in `app/load.py`, of a program that runs for a second; processes: the program, and a service.
pub(super) fn run() -> Run {
    let process = |pid| Process {
        pid,
        parent: None,
        born: Nanos::ZERO,
        died: None,
        ending: None,
        images: vec![],
        own_name: None,
        cpu: Nanos::ZERO,
    };
    let task = |process| Task {
        tid: process,
        process: ProcessId(process),
        maker: None,
        born: Nanos::ZERO,
        died: None,
        comm: String::new(),
    };
    let load =
        Step { location: Some(Location { file: "app/load.py".into(), line: 7 }), ..step("1", "load", 1000, 1000) };
    let mut run = Run {
        recording: Recording {
            meta: Meta { root: Some(TaskId(0)), wall: ms(1000), ..Meta::default() },
            processes: vec![process(1), process(2)],
            tasks: vec![task(0), task(1)],
            ..Recording::default()
        },
        resolved: Resolved::default(),
        correlated: Correlated::default(),
        map: Map { wall: ms(1000), steps: vec![load], services: vec!["app".into()], ..Map::default() },
    };
    run.peer("catalog");
    run
}

impl Run {
    pub fn facts(&self) -> Facts<'_> {
        Facts { recording: &self.recording, resolved: &self.resolved, correlated: &self.correlated, map: &self.map }
    }

    pub fn peer(&mut self, name: &str) -> usize {
        self.correlated.flows.peers.push(PeerFlow {
            endpoint: Endpoint::Unix(None),
            address: "127.0.0.1:81".into(),
            process: None,
            host: None,
            protocol: "http/1.1".into(),
            round_trips: 0,
            failed: 0,
            connections: 0,
            failed_connects: 0,
            bytes_sent: 0,
            bytes_received: 0,
            latency: None,
            connect: None,
            tls_handshake: None,
            counted: Counted::Exact,
            local: true,
        });
        self.map.peer_names.push(name.into());
        self.map.peer_names.len() - 1
    }

    /// A connection that took `connect` microseconds before `at` (ms).
    pub fn connection(&mut self, at: u64, connect: u64) -> SocketId {
        let before = ms(at).0.saturating_sub(connect * 1000);
        self.recording.sockets.push(Socket {
            family: Family::Ipv4,
            kind: 1,
            kernel: 0,
            peer_kernel: 0,
            network: 0,
            local: None,
            remote: None,
            role: Role::Client,
            process: ProcessId(0),
            first_seen: Nanos(before),
            states: vec![StateChange { at: Nanos(before), from: TcpState::Close, to: TcpState::SynSent }],
            closed: None,
            sent_bytes: 1,
            received_bytes: 1,
            sent_messages: 1,
            received_messages: 1,
        });
        SocketId(self.recording.sockets.len() as u32 - 1)
    }

    /// `load` asks peer 0 for `GET /item/{id}`; what was said is known whole, and nothing in it repeats.
    pub fn get(&mut self, socket: SocketId, sent: u64, received: u64) -> &mut RoundTrip {
        let flows = &mut self.correlated.flows;
        let index = flows.round_trips.len() as u32;
        self.map.steps[0].calls.push(index);
        let said = |token| Said { tokens: vec![token], seen: true, cut: false };
        flows.round_trips.push(RoundTrip {
            socket,
            server_socket: None,
            inbound: false,
            sent: ms(sent),
            received: ms(received),
            task: TaskId(0),
            stack: None,
            protocol: Protocol::Http1,
            method: Some("GET".into()),
            route: Some("/item/{id}".into()),
            status: Some(200),
            refused: false,
            repeat: Some(u64::from(index)),
            request_bytes: 10,
            response_bytes: 10,
            counted: Counted::Exact,
            peer: Some(0),
            asked: said(1000 + index),
            answered: said(2000 + index),
        });
        flows.round_trips.last_mut().unwrap()
    }

    /// The same of a statement.
    pub fn query(&mut self, socket: SocketId, sent: u64, received: u64, statement: &str) -> &mut RoundTrip {
        let trip = self.get(socket, sent, received);
        (trip.protocol, trip.method, trip.route) = (Protocol::Postgres, None, Some(statement.into()));
        trip
    }

    /// Leaf first: functions, those of the project in `app/load.py`, with the line where each is.
    pub fn stack(&mut self, places: &[(&str, u32)]) -> StackId {
        let ids = places.iter().map(|(function, line)| {
            let library = function.contains('.') || function.starts_with("epoll");
            let file = if library { "/usr/lib/python3/library.py" } else { "/srv/app/load.py" };
            self.resolved.places.push(Place {
                function: (*function).into(),
                file: Some(file.into()),
                line: Some(*line),
                first_line: Some(7),
                language: Language::Python,
                module: None,
                inlined: false,
                unnamed: None,
            });
            PlaceId(self.resolved.places.len() as u32 - 1)
        });
        let ids: Vec<PlaceId> = ids.collect();
        self.resolved.stacks.push(ids.into());
        StackId(self.resolved.stacks.len() as u32 - 1)
    }

    pub fn wait(&mut self, off: u64, woken: u64, cause: Cause, stack: StackId) {
        self.correlated.waits.push(Wait {
            task: TaskId(0),
            off: ms(off),
            woken: ms(woken),
            on: ms(woken),
            throttled: false,
            cause,
            by: None,
            stack: Some(stack),
            multiplexed: false,
            socket: None,
            polls_one: false,
            futex: false,
            lock: None,
        });
    }

    /// The program's thread runs a loop with two coroutines that are there all the time.
    pub fn loops(&mut self, stack: StackId) {
        for (at, coroutine) in [(0, 1), (0, 2), (1000, 1), (1000, 2)] {
            let (task, coroutine, kind) = (TaskId(0), CoroutineId(coroutine), TurnKind::Ran);
            self.recording.turns.push(Turn { at: ms(at), task, coroutine, stack, kind });
        }
    }

    pub fn writes(&mut self, calls: u64, bytes: u64, stack: StackId) {
        let (task, operation) = (TaskId(0), FileOperation::Write);
        let (first, last, stack) = (ms(1), ms(2), Some(stack));
        self.recording.events.push(Event::FileIo(FileIo {
            task,
            operation,
            first,
            last,
            calls,
            bytes,
            stack,
            file: None,
        }));
    }

    /// A sync that blocks from `off` to `on`.
    pub fn sync(&mut self, off: u64, on: u64, stack: StackId) {
        self.recording.calls.push(Call {
            task: TaskId(0),
            returned: ms(on),
            number: crate::correlate::syscalls::FSYNC,
            result: 0,
            arguments: [3, 0, 0],
            object: OnObject::File,
            stack: Some(stack),
        });
        self.recording.events.push(Event::OffCpu(OffCpu {
            task: TaskId(0),
            off: ms(off),
            woken: ms(on),
            on: ms(on),
            state: OffState::Uninterruptible,
            syscall: Some(crate::correlate::syscalls::FSYNC),
            waker: None,
            call: Some(CallId(self.recording.calls.len() as u32 - 1)),
            stack: None,
            unfinished: false,
            throttled: false,
            held: None,
            unseen_wake: false,
            before: None,
            device: None,
        }));
    }

    /// TLS records (content, length) of one transfer.
    pub fn records(&mut self, at: u64, socket: SocketId, direction: Direction, records: &[(u8, u16)]) {
        self.sends(at, socket);
        if let Some(Event::Message(message)) = self.recording.events.last_mut() {
            let mark = |(content, length): &(u8, u16)| Mark::TlsRecord { content: *content, length: *length };
            (message.direction, message.marks) = (direction, records.iter().map(mark).collect());
        }
    }

    pub fn sends(&mut self, at: u64, socket: SocketId) {
        self.passes(at, socket, Direction::Sent);
    }

    pub fn reads(&mut self, at: u64, socket: SocketId) {
        self.passes(at, socket, Direction::Received);
    }

    fn passes(&mut self, at: u64, socket: SocketId, direction: Direction) {
        self.recording.events.push(Event::Message(Message {
            at: ms(at),
            task: TaskId(self.recording.sockets[socket.0 as usize].process.0),
            socket,
            layer: Layer::Wire,
            direction,
            bytes: 5,
            descriptor: 3,
            marks: vec![],
            stack: None,
        }));
    }

    /// The call made last is that of another step of its own below the first: `fetch` under it, or under `other`.
    pub fn moves_to(&mut self, id: &str, function: &str) {
        let Some(index) = self.map.steps[0].calls.pop() else { return };
        let mut at = &mut self.map.steps;
        let mut prefix = String::new();
        let parts: Vec<&str> = id.split('.').collect();
        for (depth, part) in parts.iter().enumerate() {
            prefix = if prefix.is_empty() { (*part).into() } else { format!("{prefix}.{part}") };
            let found = at.iter().position(|step| step.id == prefix).unwrap_or_else(|| {
                let name = if depth + 1 == parts.len() { function } else { "between" };
                let location = Some(Location { file: "app/load.py".into(), line: 7 });
                at.push(Step { location, ..step(&prefix, name, 1000, 0) });
                at.len() - 1
            });
            if depth + 1 == parts.len() {
                at[found].calls.push(index);
                return;
            }
            at = &mut at[found].children;
        }
    }

    /// What one rule says.
    #[track_caller]
    pub fn judged(&self, id: &str) -> Vec<Suspicion> {
        let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
        match (rule.judge)(&self.facts()) {
            Answer::Found(found) => {
                assert!(found.iter().all(|one| one.id == rule.id && one.category == rule.category));
                found
            }
            Answer::Quiet | Answer::NotEnough(_) => vec![],
        }
    }

    #[track_caller]
    pub fn verdict(&self, id: &str) -> Option<Verdict> {
        self.judged(id).first().map(|one| one.verdict)
    }
}
