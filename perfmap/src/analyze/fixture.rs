//! The example of the tests: a test sends a document through `tikal` (900 ms of CPU) and 13 segments, one after the
//! other, to `mt-engine` (120 ms of sleep each). 2750 ms of wall time.

use std::collections::BTreeMap;

use crate::{
    map::{Counted, Latency, Location, Lock, LockSide, Map, Outside, Peer, PeerCall, Step, StepKind, WaitCause, Waits},
    recording::*,
    resolve::{Language, Place, PlaceId, Resolved},
};

pub fn ms(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

pub fn waits(parts: &[(WaitCause, u64)]) -> Waits {
    Waits(parts.iter().map(|&(cause, length)| (cause, ms(length))).collect())
}

pub fn step(id: &str, function: &str, wall: u64, own: u64) -> Step {
    Step {
        id: id.into(),
        function: function.into(),
        location: None,
        service: 0,
        kind: StepKind::FunctionCall,
        wall: ms(wall),
        self_time: ms(own),
        cpu: Nanos::ZERO,
        waits: Waits::default(),
        own_cpu: Nanos::ZERO,
        own_waits: Waits::default(),
        thread_time: ms(wall),
        thread_cpu: Nanos::ZERO,
        beside: false,
        over_socket: false,
        http_round_trips: 0,
        failed_requests: 0,
        db_round_trips: 0,
        file_read: 0,
        file_written: 0,
        memory_delta: 0,
        call: None,
        error_pct: 0.0,
        calls: vec![],
        children: vec![],
    }
}

pub fn call(peer: &str, endpoint: &str, round_trips: u64, sequential: bool, latency: Latency) -> Option<PeerCall> {
    Some(PeerCall {
        peer: peer.into(),
        endpoint: Some(endpoint.into()),
        latency: Some(latency),
        sequential,
        round_trips,
    })
}

pub fn latency(min: u64, median: u64, p95: u64, max: u64) -> Latency {
    Latency { min: ms(min), median: ms(median), p95: ms(p95), max: ms(max) }
}

pub fn peer(service: Option<&str>, address: &str, round_trips: u64) -> Peer {
    Peer {
        service: service.map(str::to_owned),
        address: address.into(),
        protocol: "http/1.1".into(),
        round_trips,
        failed: 0,
        connections: 1,
        bytes_sent: 2100,
        bytes_received: 9800,
        latency: None,
        connect: Some(Nanos(300_000)),
        tls_handshake: None,
        counted: Counted::Exact,
        local: true,
    }
}

fn at(file: &str, line: u32) -> Option<Location> {
    Some(Location { file: file.into(), line })
}

fn lock() -> Lock {
    let side = |function: &str, line, stack: &[&str]| LockSide {
        function: function.into(),
        location: Some(Location { file: "app/pool.py".into(), line }),
        stack: stack.iter().map(|name| (*name).to_owned()).collect(),
    };
    Lock {
        address: Some(0x7f00_0040),
        interpreter: false,
        service: 1,
        waiter: Some(side("take", 10, &["worker", "take", "pthread_mutex_lock"])),
        holder: Some(side("refill", 20, &["worker", "refill", "read"])),
        waits: 4,
        which: vec![],
        waited: ms(120),
        held: ms(60),
    }
}

pub fn map() -> Map {
    let handle_translate = Step {
        location: at("mt/app.py", 12),
        service: 2,
        cpu: ms(20),
        thread_cpu: ms(20),
        waits: waits(&[(WaitCause::Sleep, 1560)]),
        own_cpu: ms(20),
        own_waits: waits(&[(WaitCause::Sleep, 1560)]),
        error_pct: 0.1,
        ..step("1.1.1.1", "handle_translate", 1580, 1580)
    };
    let mt_translate = Step {
        location: at("app/services/job_processor.py", 18),
        kind: StepKind::HttpCall,
        cpu: ms(8),
        thread_cpu: ms(8),
        waits: waits(&[(WaitCause::Network, 1582)]),
        own_cpu: ms(8),
        own_waits: waits(&[(WaitCause::Network, 2)]),
        http_round_trips: 13,
        call: call("mt-engine", "POST /translate", 13, true, latency(121, 122, 124, 125)),
        error_pct: 0.2,
        children: vec![handle_translate],
        ..step("1.1.1", "mt_translate", 1590, 10)
    };
    let extract_text = Step {
        location: at("tikal/extract.py", 31),
        service: 1,
        cpu: ms(901),
        thread_cpu: ms(901),
        own_cpu: ms(901),
        error_pct: 1.8,
        ..step("1.1.2.1", "extract_text", 901, 901)
    };
    let tikal_extract = Step {
        location: at("app/services/job_processor.py", 9),
        kind: StepKind::HttpCall,
        cpu: ms(2),
        thread_cpu: ms(2),
        waits: waits(&[(WaitCause::Network, 906)]),
        own_cpu: ms(2),
        own_waits: waits(&[(WaitCause::Network, 5)]),
        http_round_trips: 1,
        call: call("tikal", "POST /extract", 1, true, latency(908, 908, 908, 908)),
        children: vec![extract_text],
        ..step("1.1.2", "tikal_extract", 908, 7)
    };
    let translate_binary = Step {
        location: at("app/services/job_processor.py", 30),
        cpu: ms(907),
        thread_cpu: ms(907),
        waits: waits(&[(WaitCause::Network, 1595), (WaitCause::Disk, 8)]),
        own_cpu: ms(4),
        own_waits: waits(&[(WaitCause::Disk, 8)]),
        file_read: 1_200_000,
        file_written: 500_000,
        children: vec![mt_translate, tikal_extract],
        ..step("1.1", "translate_binary", 2510, 12)
    };
    let process_job = Step {
        location: at("app/main.py", 41),
        cpu: ms(927),
        thread_cpu: ms(927),
        waits: waits(&[(WaitCause::Network, 1595), (WaitCause::Disk, 8)]),
        own_cpu: ms(20),
        memory_delta: 45 << 20,
        children: vec![translate_binary],
        ..step("1", "process_job", 2530, 20)
    };
    Map {
        wall: ms(2750),
        earlier: Nanos::ZERO,
        steps: vec![process_job],
        idle: Nanos::ZERO,
        served: vec![],
        outside: Outside {
            self_time: ms(220),
            cpu: ms(200),
            waits: waits(&[(WaitCause::Disk, 20)]),
            top: vec![("_PyEval_EvalFrameDefault".into(), ms(150)), ("read".into(), ms(20))],
            ..Outside::default()
        },
        rivals: vec![],
        disks: vec![],
        locks: vec![lock()],
        peers: vec![
            Peer { latency: Some(latency(121, 122, 124, 125)), ..peer(Some("mt-engine"), "127.0.0.1:8002", 13) },
            Peer { latency: Some(latency(908, 908, 908, 908)), ..peer(Some("tikal"), "127.0.0.1:8001", 1) },
        ],
        peer_names: vec!["mt-engine".into(), "tikal".into()],
        services: vec!["api".into(), "tikal".into(), "mt-engine".into()],
        nameless: 0,
        closure_error: 0,
    }
}

fn run(wall: u64) -> Metrics {
    Metrics {
        is_counted: true,
        wall: ms(wall),
        cpu: ms(wall - 1650),
        memory_peak: 256 << 20,
        memory_delta: 45 << 20,
        memory_is_pss: true,
        file_read: 1_200_000,
        file_written: 500_000,
        http_round_trips: 14,
        probe_cost: Nanos(1_234_567),
        ..Metrics::default()
    }
}

fn place(function: &str, file: Option<&str>, language: Language) -> Place {
    Place {
        function: function.into(),
        file: file.map(str::to_owned),
        line: Some(3),
        first_line: Some(2),
        language,
        module: (language == Language::Native).then(|| "/usr/lib/libc.so.6".into()),
        inlined: false,
        unnamed: None,
    }
}

/// Leaf first.
pub fn resolved() -> Resolved {
    let places = vec![
        place("process_job", Some("/app/app/main.py"), Language::Python),
        place("mt_translate", Some("/app/app/services/job_processor.py"), Language::Python),
        place("recv", None, Language::Native),
        place("tcp_recvmsg", None, Language::Kernel),
        Place { unnamed: Some(Unnamed::NoSymbol), ..place("libz.so.1+0x1f30", None, Language::Native) },
    ];
    let stack = |ids: &[u32]| ids.iter().map(|&id| PlaceId(id)).collect();
    Resolved { places, stacks: vec![stack(&[1, 0]), stack(&[3, 2, 1, 0]), stack(&[4, 0])] }
}

pub fn recording() -> Recording {
    let task = TaskId(0);
    let stack = |end| Stack { kernel: [].into(), native: [].into(), python: [].into(), end };
    let mut events: Vec<Event> = (0..200)
        .map(|n| Event::Sample(Sample { at: ms(n * 10), task, stack: StackId(if n % 50 == 49 { 2 } else { 0 }) }))
        .collect();
    events.push(Event::OffCpu(OffCpu {
        task,
        off: ms(2000),
        woken: ms(2120),
        on: ms(2121),
        state: OffState::Interruptible,
        syscall: Some(45),
        waker: None,
        call: Some(CallId(0)),
        stack: None,
        unfinished: false,
        throttled: false,
        held: None,
        unseen_wake: false,
        before: None,
        device: None,
    }));
    events.push(Event::ShortWaits(ShortWaits {
        task,
        from: Nanos::ZERO,
        to: ms(2750),
        run_queue: Nanos(4_000_000),
        blocked: vec![(WaitClass::Futex, Nanos(7_000_000))],
        count: 90,
        stack: None,
    }));
    Recording {
        meta: Meta {
            command: ["uv", "run", "pytest", "tests/e2e/test_example.py", "-s"].map(str::to_owned).into(),
            backend: "ebpf".into(),
            sample_hz: 99,
            root: Some(task),
            wall: ms(2750),
            ending: Some(Ending::Exited(0)),
            bpf_cost: vec![("sample".into(), 200, Nanos(900_000)), ("sched".into(), 900, Nanos(600_000))],
            own_cpu: ms(31),
            ..Meta::default()
        },
        baseline: Some(Baseline { warmups: 1, runs: vec![run(2751), run(2722), run(2740)], reused_from: None }),
        processes: vec![Process {
            pid: 100,
            parent: None,
            born: Nanos::ZERO,
            died: Some(ms(2750)),
            ending: Some(Ending::Exited(0)),
            images: vec![Image {
                at: Nanos::ZERO,
                comm: "pytest".into(),
                executable: "/usr/bin/python3".into(),
                arguments: vec![],
                working_directory: "/app".into(),
                service_name: None,
                surroundings: None,
            }],
            own_name: None,
            cpu: ms(1100),
        }],
        tasks: vec![Task {
            tid: 100,
            process: ProcessId(0),
            maker: None,
            born: Nanos::ZERO,
            died: Some(ms(2750)),
            comm: "pytest".into(),
        }],
        stacks: vec![stack(StackEnd::Complete), stack(StackEnd::Complete), stack(StackEnd::CopyTooShort)],
        calls: vec![Call {
            task,
            returned: ms(2121),
            number: 45,
            result: 9800,
            arguments: [5, 0, 0],
            object: OnObject::None,
            stack: Some(StackId(1)),
        }],
        events,
        losses: Losses(BTreeMap::new()),
        ..Recording::default()
    }
}
