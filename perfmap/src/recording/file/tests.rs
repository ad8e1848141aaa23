#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod damage;
mod parts;

use super::*;
use crate::recording::*;
use parts::{closer, earlier, environment, files, source};

/// One of everything that a recording can hold.
fn sample() -> Recording {
    let task = TaskId(0);
    let stack = Some(StackId(0));
    let waker =
        Waker { task: Some(TaskId(1)), pid: 7, comm: "w".into(), syscall: Some(1), descriptor: 3, timer: false };
    let metrics = Metrics {
        wall: Nanos(9),
        memory_delta: -4,
        gpu: Some(GpuUse { device: "d".into(), utilization_pct: 1.5, memory_peak: 3 }),
        ..Metrics::default()
    };
    let thread =
        |maker| Task { tid: 5, process: ProcessId(0), maker, born: Nanos(0), died: Some(Nanos(9)), comm: "t".into() };
    let call = |object| Call { task, returned: Nanos(4), number: 0, result: -11, arguments: [1, 2, 3], object, stack };
    let states = [
        TcpState::Established,
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::Close,
        TcpState::Listen,
        TcpState::Closing,
    ];
    let socket = |family, role| Socket {
        family,
        kind: 1,
        kernel: 1 << 63,
        peer_kernel: 2,
        network: 0,
        local: Some(Address { ip: [1; 16], port: 80 }),
        remote: None,
        role,
        process: ProcessId(0),
        first_seen: Nanos(1),
        states: states.iter().map(|state| StateChange { at: Nanos(1), from: *state, to: TcpState::Close }).collect(),
        closed: None,
        sent_bytes: 1,
        received_bytes: 2,
        sent_messages: 3,
        received_messages: 4,
    };
    let off = |state| OffCpu {
        task,
        off: Nanos(1),
        woken: Nanos(2),
        on: Nanos(3),
        state,
        syscall: Some(0),
        waker: Some(waker.clone()),
        call: Some(CallId(0)),
        stack,
        unfinished: true,
        throttled: true,
        held: Some(HeldLock { holder: task, interpreter: true }),
        unseen_wake: true,
        before: Some(Runner { task: Some(task), pid: 300, comm: "a".into() }),
        device: Some(DeviceId(0)),
    };
    let marks = vec![
        Mark::TlsRecord { content: 23, length: 53 },
        Mark::TlsDesync,
        Mark::Upgraded,
        Mark::Tokens { hashes: vec![7, 1 << 30], whole: true },
    ];
    let steps = [
        CallStep::Request {
            method: Some(WebMethod("GET".into())),
            operation: Some("/".into()),
            host: Some("h".into()),
            repeat: Some(1 << 40),
        },
        CallStep::RequestEnd,
        CallStep::Response { status: Some(200), failed: true },
        CallStep::ResponseEnd,
        CallStep::Abandoned,
        CallStep::Desync,
    ];
    let wires =
        [Wire::Http1, Wire::Http2, Wire::Grpc, Wire::Postgres, Wire::Mysql, Wire::Redis, Wire::Memcached, Wire::Dns]
            .map(|wire| Mark::Call { wire, stream: 7, step: CallStep::RequestEnd });
    let calls = steps.map(|step| Mark::Call { wire: Wire::Http2, stream: 0, step });
    let marks: Vec<Mark> = marks.into_iter().chain(wires).chain(calls).collect();
    let message = |direction, layer| {
        Event::Message(Message {
            at: Nanos(6),
            task,
            socket: SocketId(0),
            layer,
            direction,
            bytes: 8,
            descriptor: 4,
            marks: marks.clone(),
            stack,
        })
    };
    let classes = [
        WaitClass::Socket,
        WaitClass::Pipe,
        WaitClass::Poll,
        WaitClass::Futex,
        WaitClass::Sleep,
        WaitClass::Child,
        WaitClass::Disk,
        WaitClass::Other,
    ];
    let file = |operation| {
        Event::FileIo(FileIo {
            task,
            operation,
            first: Nanos(1),
            last: Nanos(7),
            calls: 2,
            bytes: 300,
            stack,
            file: Some(FileId(0)),
        })
    };
    let frames = vec![
        Frame::Native { module: ModuleId(0), offset: 0x1234 },
        Frame::Jit { name: "j".into(), place: Some(JitPlace { file: "j.x".into(), line: 7 }) },
        Frame::Kernel(KernelSymbolId(0)),
        Frame::Unmapped { address: 0xffff_0000 },
        Frame::Unmapped { address: 1 },
        Frame::Unmapped { address: 2 },
    ];
    let ends = [StackEnd::Complete, StackEnd::CopyTooShort, StackEnd::NoRule, StackEnd::TooDeep, StackEnd::NotWalked];
    let unnamed = [
        Unnamed::FileGone,
        Unnamed::FileChanged,
        Unnamed::NoSymbol,
        Unnamed::NoFile,
        Unnamed::Malformed,
        Unnamed::NotLookedUp,
    ];
    let selectors = [
        ServiceSelector::Pid(1),
        ServiceSelector::Port(2),
        ServiceSelector::Container("c".into()),
        ServiceSelector::Unit("u".into()),
        ServiceSelector::Path("/p".into()),
    ];
    let container = Container { id: "i".into(), name: Some("n".into()), label: Some("l".into()) };
    Recording {
        meta: Meta {
            command: vec!["a".into()],
            services: selectors.map(|is| NamedService { name: "s".into(), is }).to_vec(),
            norms: vec!["n".into()],
            own_surroundings: Some(SurroundingsId(0)),
            working_directory: "/w".into(),
            project_roots: vec!["/w".into()],
            root: Some(task),
            ending: Some(Ending::Exited(0)),
            bpf_cost: vec![("p".into(), 1, Nanos(2))],
            thinned: vec![
                Thinned {
                    at: Nanos(1),
                    what: Thinning::Payload { bytes: 512 },
                    why: Overload::ProbeTime { pct: 25.0 },
                },
                Thinned { at: Nanos(2), what: Thinning::Stacks { bytes: 8192 }, why: Overload::RingFull { lost: 3 } },
                Thinned { at: Nanos(3), what: Thinning::Turns { every: 16 }, why: Overload::RingFull { lost: 3 } },
                Thinned { at: Nanos(3), what: Thinning::Sampling { every: 2 }, why: Overload::RingFull { lost: 3 } },
                Thinned {
                    at: Nanos(4),
                    what: Thinning::Waits { below: Nanos(5) },
                    why: Overload::RingFull { lost: 3 },
                },
            ],
            ..Meta::default()
        },
        baseline: Some(Baseline { warmups: 1, runs: vec![metrics], reused_from: None }),
        processes: vec![Process {
            pid: 5,
            parent: None,
            born: Nanos(0),
            died: None,
            ending: Some(Ending::Killed(9)),
            images: vec![Image {
                at: Nanos(0),
                comm: "c".into(),
                executable: "/c".into(),
                arguments: vec!["c".into()],
                working_directory: "/".into(),
                service_name: None,
                surroundings: Some(SurroundingsId(0)),
            }],
            own_name: Some("n".into()),
            cpu: Nanos(3),
        }],
        surroundings: vec![Surroundings {
            namespaces: Namespaces { pid: 1, mount: 2, network: 3 },
            unit: Some("u.service".into()),
            container: Some(container),
        }],
        tasks: vec![thread(None), thread(Some(task))],
        sockets: vec![
            socket(Family::Ipv4, Role::Client),
            socket(Family::Ipv6, Role::Server),
            socket(Family::Unix, Role::Unknown),
            socket(Family::Other(9), Role::Unknown),
        ],
        modules: vec![Module { path: "/m".into(), build_id: "ab".into() }],
        codes: vec![Code { name: "f".into(), file: "/f.py".into(), first_line: 3 }],
        kernel_symbols: vec!["k".into()],
        symbols: unnamed
            .iter()
            .map(|why| Symbol {
                functions: vec![SymbolFunction {
                    name: "f".into(),
                    file: Some("f.c".into()),
                    line: Some(1),
                    first_line: None,
                }],
                unnamed: Some(*why),
            })
            .collect(),
        frames,
        python_frames: vec![PythonFrame { code: CodeId(0), line: 4, entry: true }],
        stacks: ends
            .iter()
            .map(|end| Stack {
                kernel: Box::new([FrameId(2)]),
                native: Box::new([FrameId(0)]),
                python: Box::new([PythonFrameId(0)]),
                end: *end,
            })
            .collect(),
        devices: vec![Device { major: 254, minor: 1, name: Some("vda1".into()) }],
        calls: [
            OnObject::None,
            OnObject::Socket(SocketId(0)),
            OnObject::Pipe(4),
            OnObject::File,
            OnObject::Anonymous(5),
        ]
        .map(call)
        .to_vec(),
        events: vec![
            Event::Sample(Sample { at: Nanos(1), task, stack: StackId(0) }),
            Event::OffCpu(off(OffState::Runnable)),
            Event::OffCpu(off(OffState::Interruptible)),
            Event::OffCpu(off(OffState::Uninterruptible)),
            Event::OffCpu(off(OffState::Stopped)),
            Event::ShortWaits(ShortWaits {
                task,
                from: Nanos(0),
                to: Nanos(5),
                run_queue: Nanos(1),
                blocked: classes.map(|class| (class, Nanos(1))).to_vec(),
                count: 2,
                stack,
            }),
            message(Direction::Sent, Layer::Wire),
            message(Direction::Received, Layer::Plaintext),
            file(FileOperation::Read),
            file(FileOperation::Write),
        ],
        losses: Losses(
            [
                Loss::RingFullSample,
                Loss::RingFullWait,
                Loss::RingFullMessage,
                Loss::RingFullTask,
                Loss::RingFullFile,
                Loss::RingFullPython,
                Loss::NoTaskStorage,
                Loss::MappingLost,
                Loss::Malformed,
                Loss::PythonUnreadable,
                Loss::SiteTableFull,
                Loss::UnwinderLagged,
                Loss::PayloadUnreadable,
                Loss::RequestsCut,
                Loss::WakeUnseen,
                Loss::SwitchUnseen,
            ]
            .map(|loss| (loss, 300))
            .into(),
        ),
        turns: [
            TurnKind::Ran,
            TurnKind::Started,
            TurnKind::Main { of_tasks: true },
            TurnKind::Resumed { round: 3, of_tasks: true },
        ]
        .map(|kind| Turn { at: Nanos(3), task, coroutine: CoroutineId(1 << 40), stack: StackId(0), kind })
        .to_vec(),
        asks: [Asked::Send(SocketId(0)), Asked::Timer { due: Nanos(9) }]
            .map(|what| Ask { at: Nanos(3), task, stack: StackId(0), what })
            .to_vec(),
        earlier: earlier(),
        source: Some(source()),
        gpu: Gpu {
            devices: vec![(1, "g".into())],
            readings: vec![GpuReading { at: Nanos(1), device: 1, busy_pct: 50, memory: 9 }],
        },
        translations: vec![Translation {
            network: 7,
            client: Ends { local: Address { ip: [1; 16], port: 1 }, remote: Address { ip: [2; 16], port: 2 } },
            server: Ends { local: Address { ip: [3; 16], port: 3 }, remote: Address { ip: [4; 16], port: 4 } },
        }],
        work: Work {
            items: Some(300),
            total: Some(1 << 40),
            workers: Some(64),
            progress: [3, 4].map(|at| Progress { at: Nanos(at), done: 5 * at, total: Some(9000) }).to_vec(),
            sweep: vec![SweepRun { workers: 8, items: Some(7), wall: Nanos(1 << 33), failed: true }],
            sampled: Some(Sampled { ran_before: Some(Nanos(5)), done_before: Some(2) }),
            asked: true,
        },
        files: files(),
        environment: environment(),
        closer: closer(),
        own_profiles: vec![OwnProfile {
            source: "http://h:1/p".into(),
            process: Some(ProcessId(0)),
            program: "/p".into(),
            span: Some((Nanos(1), Nanos(2))),
            covered: Nanos(1),
            readings: 2,
            kinds: vec![OwnKind {
                kind: "cpu".into(),
                unit: "nanoseconds".into(),
                total: -3,
                functions: vec![OwnFunction { name: "f".into(), file: "f.go".into(), first_line: 4, own: 5, all: 6 }],
                left_out: 7,
            }],
        }],
        far_ends: vec![FarEnd {
            remote: Address { ip: [5; 16], port: 5 },
            is_local: true,
            connections: 1,
            exchanges: 2,
            sent: 3,
            received: 4,
        }],
    }
}

/// FNV-1a: stable over releases of everything.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `cargo xtask fuzz` asks for it: the content alone, since nothing gets past a checksum by chance.
#[test]
fn what_fuzzing_begins_with() {
    let content = content(&sample()).unwrap();
    assert_eq!(open(&encode(&sample()).unwrap()).unwrap(), content);
    if let Some(folder) = std::env::var_os("PERFMAP_SEEDS") {
        std::fs::write(Path::new(&folder).join("sample"), content).unwrap();
    }
}

#[test]
fn comes_back_as_it_was() {
    let recording = sample();
    assert_eq!(decode(&encode(&recording).unwrap()), Ok(recording));
    assert_eq!(decode(&encode(&Recording::default()).unwrap()), Ok(Recording::default()));
}

/// When this fails, a type of the recording has changed: files of the former shape can not be read any more, so bump
/// `FORMAT_VERSION` and write the new fingerprint down.
#[test]
fn the_format_is_pinned() {
    assert_eq!((FORMAT_VERSION, fingerprint(&content(&sample()).unwrap())), (17, 10033304830987625648));
}
