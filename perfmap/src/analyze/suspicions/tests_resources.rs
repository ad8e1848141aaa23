//! Rules on files, descriptors, processes, disks and time-outs, in both directions, on made-up runs.

use super::{Value, Verdict, told::Run, told::run};
use crate::{
    analyze::{Bottleneck, Class, Detail, Rank, fixture::ms, pages},
    correlate::{Cause, Segment, State, Timeline, WaitId},
    map::WaitCause,
    recording::*,
};
use Verdict::{Confirmed, Dismissed};

const SECOND: u64 = 1_000_000_000;

/// `load` reads `bytes` of file 0, which has `size` bytes, from `at` on.
fn reads(of: &mut Run, at: u64, bytes: u64, size: u64, operation: FileOperation) {
    let stack = of.stack(&[("file.read", 3), ("load", 8)]);
    let known = KnownFile { device: 1, inode: 2, path: Some("rates.json".into()), size };
    of.recording.files.known = vec![known];
    let (task, first, last, stack, file) = (TaskId(0), ms(at), ms(at + 1), Some(stack), Some(FileId(0)));
    of.recording.events.push(Event::FileIo(FileIo { task, operation, first, last, calls: 1, bytes, stack, file }));
}

fn table(times: u64, size: u64) -> Run {
    let mut of = run();
    for n in 0..times {
        reads(&mut of, n * 10, size, size, FileOperation::Read);
    }
    of
}

#[test]
fn a_file_read_again_and_again() {
    let found = table(5, 1 << 20).judged("repeated_file_read");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "rates.json"));
    assert!(found[0].change.is_some());
    assert!(table(2, 1 << 20).judged("repeated_file_read").is_empty(), "twice is before and after");
    assert!(table(5, 100).judged("repeated_file_read").is_empty(), "so little that it is no matter");
    assert_eq!(table(40, 100).verdict("repeated_file_read"), Some(Confirmed));
    assert!(table(40, 0).judged("repeated_file_read").is_empty(), "what the kernel makes up has no size");
}

#[test]
fn a_file_that_is_written_in_between_and_one_that_is_polled() {
    let mut written = table(5, 1 << 20);
    reads(&mut written, 15, 10, 1 << 20, FileOperation::Write);
    assert_eq!(written.verdict("repeated_file_read"), Some(Dismissed));
    let mut polled = table(5, 1 << 20);
    let stack = polled.stack(&[("time.sleep", 1), ("load", 8)]);
    for n in 0..4 {
        polled.wait(n * 10 + 1, n * 10 + 9, Cause::Sleep, stack);
    }
    assert_eq!(polled.verdict("repeated_file_read"), Some(Dismissed));
}

/// One file in many pieces is read once.
#[test]
fn a_large_file_in_pieces() {
    let mut of = run();
    for n in 0..50 {
        reads(&mut of, n, 1 << 20, 50 << 20, FileOperation::Read);
    }
    assert!(of.judged("repeated_file_read").is_empty());
}

fn unread(connections: u64, read: u64, unread: u64) -> Run {
    let mut of = run();
    for n in 0..connections {
        let socket = of.connection(n * 10 + 1, 100);
        of.get(socket, n * 10 + 1, n * 10 + 5);
        of.recording.sockets[socket.0 as usize].received_bytes = read;
        of.recording.files.unread.push(Unread { at: ms(n * 10 + 5), task: TaskId(0), socket, bytes: unread });
    }
    of
}

#[test]
fn answers_that_nobody_takes() {
    let found = unread(3, 1000, 100_000).judged("over_fetching");
    assert_eq!((found[0].verdict, found[0].affected_steps.as_slice()), (Confirmed, &["1".to_owned()][..]));
    assert_eq!(unread(3, 1_000_000, 100_000).verdict("over_fetching"), Some(Dismissed));
    assert!(unread(2, 1000, 100_000).judged("over_fetching").is_empty(), "two may be errors");
    assert!(unread(3, 10, 1000).judged("over_fetching").is_empty(), "the rest of a protocol");
    let mut server = unread(3, 1000, 100_000);
    server.recording.sockets.iter_mut().for_each(|socket| socket.role = Role::Server);
    assert!(server.judged("over_fetching").is_empty());
}

fn opened(spans: impl Iterator<Item = (u64, u64)>) -> Run {
    let mut of = run();
    let stack = Some(of.stack(&[("os.open", 3), ("load", 8)]));
    let spans: Vec<(Nanos, Nanos)> = spans.map(|(from, to)| (ms(from), ms(to))).collect();
    let (process, task, kind) = (ProcessId(0), TaskId(0), DescriptorKind::File);
    let opened = spans.len() as u64;
    of.recording.files.descriptors = vec![Descriptors { process, task, stack, kind, opened, left: 0, spans }];
    of
}

#[test]
fn descriptors_that_come_together_over_the_run() {
    // All are closed when the interpreter ends.
    let leak = opened((0..60).map(|n| (n * 15, 990)));
    assert_eq!(leak.verdict("leaked_descriptors"), Some(Confirmed));
    // Every second one.
    let half = opened((0..60).map(|n| (n * 15, if n % 2 == 0 { 990 } else { n * 15 + 5 })));
    assert_eq!(half.verdict("leaked_descriptors"), Some(Confirmed));
}

#[test]
fn pools_and_descriptors_that_are_closed() {
    let pool = opened((0..60).map(|n| (n, 990)));
    assert_eq!(pool.verdict("leaked_descriptors"), Some(Dismissed));
    let late = opened((0..60).map(|n| (if n < 50 { n } else { n * 15 }, 990)));
    assert_eq!(late.verdict("leaked_descriptors"), Some(Dismissed), "a pool with a few more");
    let many_at_a_time = opened((0..400).map(|n| (n * 2, n * 2 + 100)));
    assert_eq!(many_at_a_time.verdict("leaked_descriptors"), Some(Dismissed));
    assert!(opened((0..60).map(|n| (n * 15, n * 15 + 5))).judged("leaked_descriptors").is_empty());
    assert!(opened((0..19).map(|n| (n * 50, 990))).judged("leaked_descriptors").is_empty());
}

fn made(count: u64, left: u64) -> Run {
    let mut of = run();
    let stack = Some(of.stack(&[("tempfile.mkstemp", 3), ("load", 8)]));
    of.recording.files.made = vec![Made { task: TaskId(0), stack, count, left, examples: vec!["/tmp/x".into()] }];
    of
}

#[test]
fn temporary_files_that_stay() {
    let found = made(30, 30).judged("leftover_temp_files");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "load"));
    assert_eq!(made(30, 0).verdict("leftover_temp_files"), Some(Dismissed));
    assert_eq!(made(30, 1).verdict("leftover_temp_files"), Some(Dismissed), "the last one is what the program is for");
    assert!(made(4, 4).judged("leftover_temp_files").is_empty());
    let mut library = made(30, 30);
    library.recording.files.made[0].stack = Some(library.stack(&[("pytest.mktemp", 3)]));
    assert!(library.judged("leftover_temp_files").is_empty(), "what a test runner keeps is its own");
}

/// `load` waits for the disk: in a page fault, or in a call.
fn on_disk(of: &mut Run, from: u64, to: u64, fault: bool) {
    let stack = of.stack(&[("load", 8)]);
    of.sync(from, to, stack);
    if let Some(Event::OffCpu(off)) = of.recording.events.last_mut() {
        off.device = Some(DeviceId(0));
        if fault {
            (off.syscall, off.call, off.stack) = (None, None, Some(stack));
        }
    }
    of.recording.devices = vec![Device { major: 8, minor: 0, name: Some("sda".into()) }];
    of.recording.environment.length = ms(1000);
    of.map.steps[0].own_waits.add(WaitCause::Disk, ms(to - from));
}

fn disk(busy: u64, queued: u64, requests: u64, bytes: u64) -> Disk {
    let (busy, queued) = (ms(busy), ms(queued));
    Disk { device: 8 << 20, name: "sda".into(), requests, read_bytes: bytes, written_bytes: 0, busy, queued }
}

fn faults(each: u64, count: u64) -> Run {
    let mut of = run();
    for n in 0..20 {
        on_disk(&mut of, n * 40, n * 40 + each, true);
    }
    of.recording.environment.own_major_faults = count;
    of
}

#[test]
fn pages_that_come_from_a_device() {
    let found = faults(10, 20).judged("major_faults");
    assert_eq!((found[0].verdict, found[0].affected_steps.as_slice()), (Confirmed, &["1".to_owned()][..]));
    assert_eq!(faults(4, 20).verdict("major_faults"), Some(Dismissed));
    assert!(faults(10, 3).judged("major_faults").is_empty(), "the kernel counted none");
    let mut in_calls = run();
    for n in 0..20 {
        on_disk(&mut in_calls, n * 40, n * 40 + 10, false);
    }
    in_calls.recording.environment.own_major_faults = 20;
    assert!(in_calls.judged("major_faults").is_empty());
    let mut not_counted = faults(10, 20);
    not_counted.recording.environment = Environment::default();
    assert!(not_counted.judged("major_faults").is_empty());
}

/// A step whose waits for disks are page faults is the machine's matter; one that reads is its own.
#[test]
fn the_class_of_pages_that_come_from_a_device() {
    let class = |each: u64, reading: u64, confirmed: bool| {
        let mut of = faults(each, 20);
        of.map.steps[0].own_waits.add(WaitCause::Disk, ms(reading));
        let mut found = of.judged("major_faults");
        found.iter_mut().filter(|_| !confirmed).for_each(|one| one.verdict = Dismissed);
        let (class, time) = (Class::IoFile, ms(20 * each + reading));
        let detail = Detail::FileIo { bytes_read: 0, bytes_written: 0, time };
        let mut top = [Bottleneck {
            step: Some("1".into()),
            function: "load".into(),
            class,
            rank: Rank::Primary,
            share_pct: 90.0,
            detail: detail.clone(),
        }];
        let (class, _) = pages::are_the_machines(&of.facts(), &found, (class, detail), &mut top);
        assert_eq!(class, top[0].class);
        class
    };
    assert_eq!(class(20, 100, true), Class::Infrastructure);
    assert_eq!(class(10, 500, true), Class::IoFile, "most of it is reading");
    assert_eq!(class(20, 100, false), Class::IoFile);
}

/// Faults too short to be recorded one by one are sums, and no more than the kernel's count allows.
#[test]
fn short_faults() {
    let short = |count| {
        let mut of = run();
        of.recording.environment = Environment { length: ms(1000), own_major_faults: count, ..Environment::default() };
        of.recording.meta.wait_threshold = Nanos(100_000);
        let blocked = vec![(WaitClass::Disk, ms(200))];
        let (task, from, to, run_queue, stack) = (TaskId(0), ms(0), ms(500), Nanos::ZERO, None);
        of.recording.events.push(Event::ShortWaits(ShortWaits { task, from, to, run_queue, blocked, count, stack }));
        of.verdict("major_faults")
    };
    assert_eq!(short(4000), Some(Confirmed));
    assert_eq!(short(300), Some(Dismissed));
}

#[test]
fn a_disk_that_does_all_it_can() {
    let judged = |waited: u64, disk: Disk| {
        let mut of = run();
        on_disk(&mut of, 100, 100 + waited, false);
        of.recording.environment.disks = vec![disk];
        of.verdict("disk_throughput_bound")
    };
    assert_eq!(judged(500, disk(500, 4000, 1000, 4 << 20)), Some(Confirmed), "a queue");
    assert_eq!(judged(500, disk(500, 500, 1000, 500 << 20)), Some(Confirmed), "large pieces");
    assert_eq!(judged(500, disk(500, 500, 1000, 4 << 20)), Some(Dismissed), "one small request at a time");
    assert_eq!(judged(500, disk(200, 4000, 1000, 4 << 20)), Some(Dismissed), "it was idle");
    assert_eq!(judged(100, disk(500, 4000, 1000, 4 << 20)), Some(Dismissed), "for a short time");
    assert_eq!(judged(40, disk(500, 4000, 1000, 4 << 20)), None);
    assert_eq!(judged(500, Disk { device: 9, ..disk(500, 4000, 1000, 4 << 20) }), None, "another one");
}

/// `count` processes one after the other, each `life` long, `start` of it before its execve.
fn processes(count: u64, life: u64, start: u64) -> Run {
    let mut of = run();
    of.recording.meta.sample_hz = 100;
    for n in 0..count {
        let born = Nanos(n * life);
        let at = Nanos(born.0 + start);
        let image = Image {
            at,
            comm: "tool".into(),
            executable: "/bin/tool".into(),
            arguments: vec![],
            working_directory: "/".into(),
            service_name: None,
            surroundings: None,
        };
        let died = Some(Nanos(born.0 + life));
        let first = of.recording.processes[0].clone();
        of.recording.processes.push(Process { parent: Some(ProcessId(0)), born, died, images: vec![image], ..first });
    }
    let stack = of.stack(&[("subprocess.wait", 3), ("load", 8)]);
    of.wait(0, 900, Cause::Child, stack);
    of
}

#[test]
fn a_process_for_each_small_piece() {
    let found = processes(100, 8_000_000, 3_000_000).judged("many_short_lived_processes");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "load"));
    // Ninety-nine of the hundred starts of 3 ms.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(297));
    assert_eq!(processes(100, 8_000_000, 300_000).verdict("many_short_lived_processes"), Some(Dismissed));
    assert!(processes(49, 8_000_000, 3_000_000).judged("many_short_lived_processes").is_empty());
    assert!(processes(60, 2 * SECOND, 3_000_000).judged("many_short_lived_processes").is_empty(), "they live long");
}

/// A process that waits for its first turn on a CPU costs nothing.
#[test]
fn starts_on_a_busy_machine() {
    let mut of = processes(100, 8_000_000, 3_000_000);
    for n in 0..100_u64 {
        of.recording.tasks.push(Task { process: ProcessId(n as u32 + 2), ..of.recording.tasks[0].clone() });
        let born = Nanos(n * 8_000_000);
        let on = Nanos(born.0 + 2_900_000);
        let queue = Segment { from: born, to: on, state: State::RunQueue(WaitId(0)) };
        let cpu = Segment { from: on, to: Nanos(born.0 + 8_000_000), state: State::Cpu { short: None } };
        of.correlated.timelines.resize(of.recording.tasks.len() - 1, Timeline::default());
        of.correlated.timelines.push(Timeline(vec![queue, cpu]));
    }
    assert_eq!(of.verdict("many_short_lived_processes"), Some(Dismissed));
}

/// However long they wait for a CPU beside others, they and what starts them.
#[test]
fn a_busy_machine_hides_no_processes() {
    let mut of = processes(100, 8_000_000, 3_000_000);
    of.map.wall = Nanos(4 * SECOND);
    assert_eq!(of.verdict("many_short_lived_processes"), Some(Dismissed));
    of.map.steps[0].own_waits.add(WaitCause::RunQueue, Nanos(3 * SECOND));
    assert_eq!(of.verdict("many_short_lived_processes"), Some(Confirmed));
}

/// Each computes for 2 ms after its execve; what part of it was starting, some samples of all say.
#[test]
fn few_samples_of_many_processes() {
    let judged = |starting: u64, working: u64| {
        let mut of = processes(100, 8_000_000, 0);
        let stacks = ["_dl_start_user", "compile"].map(|function| of.stack(&[(function, 1)]));
        of.correlated.timelines.resize(of.recording.tasks.len(), Timeline::default());
        for n in 0..100_u64 {
            let born = n * 8_000_000;
            of.recording.tasks.push(Task { process: ProcessId(n as u32 + 2), ..of.recording.tasks[0].clone() });
            let cpu = Segment { from: Nanos(born), to: Nanos(born + 2_000_000), state: State::Cpu { short: None } };
            of.correlated.timelines.push(Timeline(vec![cpu]));
            let task = TaskId(of.recording.tasks.len() as u32 - 1);
            let stack = if n < starting { stacks[0] } else { stacks[1] };
            if n < starting + working {
                of.recording.events.push(Event::Sample(Sample { at: Nanos(born + 1), task, stack }));
            }
        }
        of.judged("many_short_lived_processes").first().map(|one| one.evidence[3].value.clone())
    };
    assert_eq!(judged(6, 2), Some(Value::Time(ms(150))));
    assert_eq!(judged(3, 1), Some(Value::Time(ms(150))), "half as many samples say the same");
    assert_eq!(judged(0, 0), Some(Value::Time(Nanos::ZERO)));
}

/// What was sampled in starting counts as much less as processes run at one time.
#[test]
fn samples_of_starting() {
    let sampled = |together: bool, function: &str| {
        let mut of = processes(100, 8_000_000, 0);
        for process in of.recording.processes.iter_mut().skip(2).filter(|_| together) {
            (process.born, process.died) = (Nanos(0), Some(ms(800)));
            process.images.clear();
        }
        let stack = of.stack(&[(function, 1)]);
        for n in 2..22 {
            of.recording.tasks.push(Task { process: ProcessId(n), ..of.recording.tasks[0].clone() });
            let task = TaskId(of.recording.tasks.len() as u32 - 1);
            of.recording.events.push(Event::Sample(Sample { at: ms(790), task, stack }));
        }
        of.verdict("many_short_lived_processes")
    };
    assert_eq!(sampled(false, "Py_InitializeFromConfig"), Some(Confirmed));
    assert_eq!(sampled(false, "compile"), Some(Dismissed));
    assert_eq!(sampled(true, "Py_InitializeFromConfig"), Some(Dismissed));
}

/// `load` asks, and polls its one socket in vain.
fn in_vain(lengths: &[u64], asks: bool) -> Run {
    let mut of = run();
    let stack = of.stack(&[("socket.recv", 3), ("load", 8)]);
    let mut at = 10;
    for length in lengths {
        let socket = of.connection(at, 100);
        if asks {
            of.sends(at, socket);
        }
        of.wait(at + 1, at + 1 + length, Cause::Sleep, stack);
        of.correlated.waits.last_mut().unwrap().polls_one = true;
        if !asks {
            // It stands: there is nothing to wait for.
            let states = &mut of.recording.sockets[socket.0 as usize].states;
            states.push(StateChange { at: ms(at), from: TcpState::SynSent, to: TcpState::Established });
        }
        at += length + 10;
    }
    of
}

#[test]
fn waits_that_end_after_the_same_time() {
    let found = in_vain(&[200, 200, 200], true).judged("default_limit_reached");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "time-out of load"));
    assert_eq!(in_vain(&[200, 150, 300], true).verdict("default_limit_reached"), Some(Dismissed));
    assert!(in_vain(&[200, 200], true).judged("default_limit_reached").is_empty());
    assert!(in_vain(&[200, 200, 200], false).judged("default_limit_reached").is_empty(), "nothing was asked");
    assert!(in_vain(&[10, 10, 10], true).judged("default_limit_reached").is_empty(), "how a client stays awake");
}

#[test]
fn connections_that_are_never_made() {
    let mut of = in_vain(&[200, 200, 200], true);
    of.recording.events.clear();
    assert_eq!(of.verdict("default_limit_reached"), Some(Confirmed));
}
