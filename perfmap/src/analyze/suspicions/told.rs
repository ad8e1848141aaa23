//! Runs as the rules' tests tell them: a program whose functions make calls, in milliseconds, and its map.

use super::{Answer, Facts, RULES, Suspicion, Verdict};
use crate::{
    analyze::fixture::{ms, step},
    correlate::{Correlated, Counted, PeerFlow, Protocol, RoundTrip, Said},
    map::{Location, Map, Step},
    recording::*,
    resolve::Resolved,
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
