//! Which waits end how: one row a case.

use super::{Cause, Wait, correlate, syscalls as call};
use crate::recording::{
    Call, CallId, Direction, Event, Family, Layer, Message, Nanos, OffCpu, OffState, OnObject, Process, ProcessId,
    Recording, ShortWaits, Socket, SocketId, Task, TaskId, WaitClass, Waker,
};

const MAIN: TaskId = TaskId(0);
const THREAD: TaskId = TaskId(1);
const CHILD: TaskId = TaskId(2);
const CHILD_THREAD: TaskId = TaskId(3);

/// A process with two threads, and a child of it with two threads.
fn recording() -> Recording {
    let process = |pid, parent| Process {
        pid,
        parent,
        born: Nanos(0),
        died: None,
        ending: None,
        images: vec![],
        own_name: None,
        cpu: Nanos::ZERO,
    };
    let task = |tid, process| Task { tid, process, maker: None, born: Nanos(0), died: None, comm: String::new() };
    let mut recording = Recording {
        processes: vec![process(10, None), process(20, Some(ProcessId(0)))],
        tasks: vec![task(10, ProcessId(0)), task(11, ProcessId(0)), task(20, ProcessId(1)), task(21, ProcessId(1))],
        ..Recording::default()
    };
    recording.meta.wall = Nanos(1000);
    recording
}

struct Case {
    number: u32,
    result: i64,
    object: OnObject,
    state: OffState,
    waker: Option<(TaskId, Option<u32>)>,
    timer: bool,
}

const CASE: Case = Case {
    number: call::READ,
    result: 1,
    object: OnObject::None,
    state: OffState::Interruptible,
    waker: None,
    timer: false,
};

fn explained(case: Case) -> Wait {
    let mut recording = recording();
    recording.calls.push(Call {
        task: MAIN,
        returned: Nanos(200),
        number: case.number,
        result: case.result,
        arguments: [0, 9, 0],
        object: case.object,
        stack: None,
    });
    recording.events.push(Event::OffCpu(OffCpu {
        task: MAIN,
        off: Nanos(100),
        woken: Nanos(190),
        on: Nanos(200),
        state: case.state,
        syscall: Some(case.number),
        waker: case.waker.map(|(task, syscall)| Waker {
            task: Some(task),
            pid: 0,
            comm: String::new(),
            syscall,
            descriptor: 3,
            timer: case.timer,
        }),
        call: Some(CallId(0)),
        stack: None,
        unfinished: false,
        throttled: false,
        held: None,
        unseen_wake: false,
        before: None,
        device: None,
    }));
    correlate(&recording).waits.remove(0)
}

#[test]
fn causes_and_who_is_believed() {
    use Cause::{Child, Disk, Lock, Network, Other, Pipe, Sleep};
    let socket = OnObject::Socket(SocketId(0));
    let pipe = OnObject::Pipe(7);
    let by = |task, number| Some((task, Some(number)));
    let rows = [
        ("sleep", Case { number: call::NANOSLEEP, ..CASE }, Sleep, None),
        ("answer", Case { object: socket, waker: by(CHILD, call::SENDTO), ..CASE }, Network, Some(CHILD)),
        ("bystander", Case { object: socket, waker: by(CHILD, call::FUTEX), ..CASE }, Network, None),
        (
            "timer on a socket",
            Case { object: socket, waker: by(CHILD, call::SENDTO), timer: true, ..CASE },
            Network,
            None,
        ),
        ("pipe", Case { object: pipe, waker: by(CHILD, call::WRITE), ..CASE }, Pipe, Some(CHILD)),
        ("pipe's end", Case { object: pipe, waker: by(CHILD_THREAD, call::EXIT_GROUP), ..CASE }, Pipe, Some(CHILD)),
        ("pipe, bystander", Case { object: pipe, waker: by(CHILD, call::RECVFROM + 1000), ..CASE }, Pipe, None),
        ("lock", Case { number: call::FUTEX, result: 0, waker: by(THREAD, call::FUTEX), ..CASE }, Lock, Some(THREAD)),
        ("join", Case { number: call::FUTEX, result: 0, waker: by(THREAD, call::EXIT), ..CASE }, Lock, Some(THREAD)),
        ("lock timed out", Case { number: call::FUTEX, result: -110, ..CASE }, Sleep, None),
        ("child", Case { number: call::WAIT4, waker: by(CHILD, call::EXIT_GROUP), ..CASE }, Child, Some(CHILD)),
        ("child killed", Case { number: call::WAIT4, waker: Some((CHILD, None)), ..CASE }, Child, Some(CHILD)),
        ("child by its pid", Case { number: call::WAITID, result: 20, ..CASE }, Child, Some(CHILD)),
        ("not a child", Case { number: call::WAIT4, waker: by(THREAD, call::EXIT), ..CASE }, Child, None),
        (
            "vfork",
            Case { number: call::VFORK, state: OffState::Uninterruptible, waker: by(CHILD, call::EXECVE), ..CASE },
            Child,
            Some(CHILD),
        ),
        ("disk", Case { state: OffState::Uninterruptible, waker: by(CHILD, call::WRITE), ..CASE }, Disk, None),
        ("poll timed out", Case { number: call::POLL, result: 0, ..CASE }, Sleep, None),
        (
            "loop, worker",
            Case { number: call::EPOLL_WAIT, waker: by(THREAD, call::WRITE), ..CASE },
            Other,
            Some(THREAD),
        ),
        ("loop, peer", Case { number: call::EPOLL_WAIT, waker: by(CHILD, call::SENDTO), ..CASE }, Network, Some(CHILD)),
        ("loop, pipe", Case { number: call::PPOLL, waker: by(CHILD, call::WRITE), ..CASE }, Pipe, Some(CHILD)),
        (
            "loop, child",
            Case { number: call::EPOLL_WAIT, waker: by(CHILD_THREAD, call::EXIT_GROUP), ..CASE },
            Child,
            Some(CHILD),
        ),
        ("loop, signal", Case { number: call::EPOLL_WAIT, waker: by(CHILD, call::KILL), ..CASE }, Pipe, Some(CHILD)),
        ("signal", Case { number: call::PAUSE, result: -4, waker: by(CHILD, call::KILL), ..CASE }, Pipe, Some(CHILD)),
        (
            "signal, its child's end",
            Case { number: call::RT_SIGTIMEDWAIT, result: 17, waker: by(CHILD, call::EXIT_GROUP), ..CASE },
            Child,
            Some(CHILD),
        ),
        ("signal, in vain", Case { number: call::RT_SIGTIMEDWAIT, result: -11, ..CASE }, Sleep, None),
        ("alarm", Case { number: call::PAUSE, result: -4, waker: Some((THREAD, None)), ..CASE }, Sleep, None),
        (
            "signal, bystander",
            Case { number: call::PAUSE, result: -4, waker: by(THREAD, call::READ), ..CASE },
            Other,
            None,
        ),
        ("loop, outside", Case { number: call::SELECT, ..CASE }, Network, None),
        ("file lock", Case { number: call::FLOCK, waker: by(CHILD, call::FLOCK), ..CASE }, Lock, Some(CHILD)),
        ("stopped", Case { state: OffState::Stopped, ..CASE }, Other, None),
        ("self", Case { number: call::FUTEX, waker: by(MAIN, call::FUTEX), ..CASE }, Lock, None),
    ];
    for (name, case, cause, by) in rows {
        let wait = explained(case);
        assert_eq!((wait.cause, wait.by), (cause, by), "{name}");
    }
}

#[test]
fn preempted_tasks_are_never_blocked() {
    let wait = explained(Case { state: OffState::Runnable, waker: Some((CHILD, Some(call::SENDTO))), ..CASE });
    assert_eq!((wait.woken, wait.by), (wait.off, None));
}

fn blocked(off: u64, on: u64) -> OffCpu {
    OffCpu {
        task: MAIN,
        off: Nanos(off),
        woken: Nanos(on),
        on: Nanos(on),
        state: OffState::Interruptible,
        syscall: Some(call::POLL),
        waker: None,
        call: Some(CallId(0)),
        stack: None,
        unfinished: false,
        throttled: false,
        held: None,
        unseen_wake: false,
        before: None,
        device: None,
    }
}

fn polled_one() -> Call {
    Call {
        task: MAIN,
        returned: Nanos(200),
        number: call::POLL,
        result: 1,
        arguments: [0, 1, 0],
        object: OnObject::None,
        stack: None,
    }
}

/// The ends of one connection.
pub(super) fn ends(recording: &mut Recording) -> (SocketId, SocketId) {
    for (process, kernel, peer_kernel) in [(0, 1, 2), (1, 2, 1)] {
        recording.sockets.push(Socket {
            family: Family::Unix,
            kind: 1,
            kernel,
            peer_kernel,
            ..Socket::unknown(ProcessId(process))
        });
    }
    (SocketId(0), SocketId(1))
}

fn message(task: TaskId, at: u64, socket: SocketId, direction: Direction) -> Event {
    let (layer, bytes, descriptor) = (Layer::Wire, 9, 5);
    Event::Message(Message {
        at: Nanos(at),
        task,
        socket,
        layer,
        direction,
        bytes,
        descriptor,
        marks: vec![],
        stack: None,
    })
}

#[test]
fn a_poll_of_one_descriptor_is_no_loop() {
    let mut case = recording();
    case.calls.push(polled_one());
    let waker = Waker {
        task: Some(THREAD),
        pid: 0,
        comm: String::new(),
        syscall: Some(call::SENDTO),
        descriptor: 3,
        timer: false,
    };
    case.events.push(Event::OffCpu(OffCpu { waker: Some(waker), ..blocked(100, 200) }));
    let wait = &correlate(&case).waits[0];
    assert_eq!((wait.multiplexed, wait.cause, wait.by), (false, Cause::Network, Some(THREAD)));
}

/// A receive with a time-out: what it read tells on which connection, and that tells who sent.
#[test]
fn a_poll_of_one_descriptor_is_explained_by_what_was_read_after_it() {
    // The sender's call returns late, and the wake came in an interrupt or from a thread of the kernel.
    for (returns, reads, blocks, by) in [
        (205, Some(210), None, Some(CHILD)),
        (90_000_000, Some(210), None, Some(CHILD)),
        (205, Some(400), Some(300), None),
        (205, None, None, None),
    ] {
        let mut case = recording();
        let (near, far) = ends(&mut case);
        case.calls.push(polled_one());
        case.events.push(Event::OffCpu(blocked(100, 200)));
        case.events.extend(blocks.map(|at| Event::OffCpu(OffCpu { call: None, ..blocked(at, at + 50) })));
        case.events.push(message(CHILD_THREAD, 50, far, Direction::Sent));
        case.events.push(message(CHILD, returns, far, Direction::Sent));
        case.events.extend(reads.map(|at| message(MAIN, at, near, Direction::Received)));
        let wait = &correlate(&case).waits[0];
        assert_eq!((wait.cause, wait.by), (Cause::Network, by), "{returns} {reads:?} {blocks:?}");
        assert_eq!(wait.socket, by.map(|_| near), "{returns} {reads:?} {blocks:?}");
    }
}

#[test]
fn short_waits_never_exceed_their_piece() {
    let mut recording = recording();
    recording.events.push(Event::ShortWaits(ShortWaits {
        task: MAIN,
        from: Nanos(100),
        to: Nanos(300),
        run_queue: Nanos(50),
        blocked: vec![(WaitClass::Socket, Nanos(500)), (WaitClass::Poll, Nanos(450))],
        count: 3,
        stack: None,
    }));
    let correlated = correlate(&recording);
    assert_eq!(correlated.timelines[0].0.len(), 3);
    let (run_queue, blocked) = correlated.shorts[0].split(Nanos(200));
    assert_eq!((run_queue, blocked), (Nanos(10), vec![(Cause::Network, Nanos(190))]));
}
