//! Parts of the sample: one of everything that they can hold.

use crate::recording::*;

pub(super) fn files() -> Files {
    let (process, task, socket, stack) = (ProcessId(0), TaskId(0), SocketId(0), Some(StackId(0)));
    let kinds = [DescriptorKind::File, DescriptorKind::Socket, DescriptorKind::Pipe, DescriptorKind::Other];
    let of = |kind| Descriptors { process, task, stack, kind, opened: 3, left: 1, spans: vec![(Nanos(1), Nanos(2))] };
    Files {
        known: vec![KnownFile { device: 1 << 20, inode: 1 << 33, path: Some("/p".into()), size: 5 }],
        made: vec![Made { task, stack, count: 3, left: 1, examples: vec!["/tmp/x".into()] }],
        descriptors: kinds.map(of).to_vec(),
        unread: vec![Unread { at: Nanos(1), task, socket, bytes: 4 }],
    }
}

pub(super) fn environment() -> Environment {
    let places = [(Scope::Machine, Resource::Cpu), (Scope::Group, Resource::Io), (Scope::Machine, Resource::Memory)];
    let pressure = |(scope, resource)| Pressure { scope, resource, some: Nanos(2), full: Nanos(1) };
    Environment {
        length: Nanos(9),
        pressure: places.map(pressure).to_vec(),
        disks: vec![Disk {
            device: 7,
            name: "d".into(),
            requests: 1,
            read_bytes: 2,
            written_bytes: 3,
            busy: Nanos(4),
            queued: Nanos(5),
        }],
        swapped_in: 1,
        swapped_out: 2,
        major_faults: 3,
        own_major_faults: 4,
        memory: Some(GroupMemory { limit: Some(1 << 40), held_back: 1, reached: 2, out: 3 }),
    }
}

pub(super) fn closer() -> Closer {
    let stack = Stack { kernel: [].into(), native: [FrameId(0)].into(), python: [].into(), end: StackEnd::Complete };
    let lines = vec![(3, 40, Nanos(9))];
    let frames = vec![Frame::Jit { name: "j".into(), place: None }];
    let names = StackNames { frames, stacks: vec![stack], ..StackNames::default() };
    let part = Estimate { whole: 1, points: 2, blocks: 3.0, blocks_variance: 4.0 };
    Closer {
        samples: Some(SampledAgain {
            sample_hz: 999,
            wall: Nanos(9),
            ending: Some(Ending::Exited(0)),
            interrupted: false,
            names: names.clone(),
            samples: vec![(StackId(0), 5)],
        }),
        lines: Some(TimedLines {
            profiler: Some("p".into()),
            hindrance: Some("h".into()),
            wall: Nanos(7),
            functions: vec![TimedFunction { file: "/f.py".into(), first_line: 2, lines }],
        }),
        allocated: Some(Allocated {
            hindrance: Some("h".into()),
            wall: Nanos(7),
            live: 5,
            peak: 6,
            functions: vec![AllocatedBy {
                file: "/f.py".into(),
                first_line: 2,
                line: 3,
                function: "f".into(),
                bytes: 5,
                blocks: 1,
            }],
        }),
        native: Some(NativeAllocations {
            hindrance: Some("h".into()),
            wall: Nanos(7),
            mean: 1,
            calls: 2,
            bytes: 3,
            frees: 4,
            lost: 5,
            lost_frees: 6,
            untracked: 7,
            watched: 8,
            unwatched: 9,
            stopped: Some(Nanos(3)),
            names,
            by_stack: vec![AllocatedAt { stack: StackId(0), all: part, alive: part }],
        }),
    }
}

pub(super) fn earlier() -> Earlier {
    let remote = Address { ip: [1; 16], port: 80 };
    let endpoints = [
        None,
        Some(Endpoint::Unix(None)),
        Some(Endpoint::Unix(Some(ProcessId(0)))),
        Some(Endpoint::Internet { datagrams: true, remote, network: 7 }),
    ];
    let spoken = [Spoken::Http1, Spoken::Tls, Spoken::Calls(Wire::Redis), Spoken::Calls(Wire::Dns)];
    let sure = [Sureness::Exact, Sureness::Inferred, Sureness::AtLeast, Sureness::Exact];
    let requests = endpoints.into_iter().zip(spoken).zip(sure).map(|((endpoint, spoken), counted)| {
        let of = Requests {
            inbound: endpoint.is_none(),
            process: ProcessId(0),
            server: Some(ProcessId(0)),
            endpoint,
            spoken,
            encrypted: true,
            method: Some("GET".into()),
            route: Some("/{id}".into()),
            stack: Some(StackId(0)),
        };
        let mut tally = Tally { answered: 300, unanswered: 2, refused: 1, counted, ..Tally::new(TaskId(1)) };
        tally.latencies.record(Nanos(12_345));
        (of, tally)
    });
    let gone = Gone { connections: 3, failed_connects: 1, sent: [400, 1], received: [500, 2] };
    Earlier {
        length: Nanos(1 << 40),
        events: 999,
        requests: requests.collect(),
        sockets: endpoints.map(|endpoint| (endpoint, gone)).into(),
    }
}

pub(super) fn source() -> Source {
    let step = |kind, id: &str| SourceStep {
        id: id.into(),
        function: "f".into(),
        file: "f.py".into(),
        line: 3,
        service: Some("s".into()),
        kind,
        target: Some("GET /a".into()),
        in_loop: true,
        awaited: false,
    };
    Source {
        entry: Some(EntryPoint {
            kind: EntryKind::ApiEndpoint,
            file: "f.py".into(),
            line: 1,
            route: Some("GET /a".into()),
            function: "f".into(),
        }),
        e2e_test: Some(E2eTest { command: Some("t".into()), source: TestSource::Route }),
        chain: vec![step(SourceKind::FunctionCall, "1"), step(SourceKind::Gpu, "1.1")],
        findings: vec![SourceFinding {
            rule: "tiny_io".into(),
            function: "f".into(),
            file: "f.py".into(),
            line: 2,
            what: "w".into(),
        }],
        unresolved: vec!["u".into()],
    }
}
