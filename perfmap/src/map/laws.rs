//! What holds for the map of every recording, sensible or not.

use proptest::prelude::*;

use super::{Map, MapOptions, audit, build};
use crate::{
    correlate::{self, syscalls},
    recording::{
        Call, CallId, CallStep, CoroutineId, Direction, Event, Family, FileIo, FileOperation, HeldLock, Image, Layer,
        Mark, Memory, Message, Meta, Nanos, OffCpu, OffState, OnObject, Process, ProcessId, Recording, Sample,
        ShortWaits, Socket, SocketId, StackId, Task, TaskId, Turn, TurnKind, WaitClass, Waker, WebMethod, Wire,
    },
    resolve::{Language, Place, PlaceId, Resolved},
};

const WALL: u64 = 1000;
const STACKS: u32 = 20;

/// Mostly inside the recording, sometimes far out.
fn time() -> impl Strategy<Value = Nanos> {
    prop_oneof![20 => 0..WALL + 100, 1 => Just(u64::MAX), 1 => any::<u64>()].prop_map(Nanos)
}

fn birth() -> impl Strategy<Value = Nanos> {
    prop_oneof![4 => 0..60u64, 1 => 0..WALL + 100, 1 => any::<u64>()].prop_map(Nanos)
}

/// Some ids lead nowhere.
fn task() -> impl Strategy<Value = TaskId> {
    prop_oneof![6 => 0..3u32, 1 => 0..9u32].prop_map(TaskId)
}

fn stack() -> impl Strategy<Value = StackId> {
    (0..STACKS + 1).prop_map(StackId)
}

fn number() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![
        syscalls::READ,
        syscalls::WRITE,
        syscalls::POLL,
        syscalls::EPOLL_WAIT,
        syscalls::SENDTO,
        syscalls::RECVFROM,
        syscalls::FUTEX,
        syscalls::WAIT4,
        syscalls::VFORK,
        syscalls::EXECVE,
        syscalls::EXIT,
        syscalls::EXIT_GROUP,
        syscalls::CLOCK_NANOSLEEP,
        syscalls::RESTART_SYSCALL,
        9999,
    ])
}

fn object() -> impl Strategy<Value = OnObject> {
    prop_oneof![
        Just(OnObject::None),
        Just(OnObject::File),
        (0..3u64).prop_map(OnObject::Pipe),
        (0..3u32).prop_map(|id| OnObject::Socket(SocketId(id))),
        (0..3u64).prop_map(OnObject::Anonymous),
    ]
}

fn off_cpu() -> impl Strategy<Value = Event> {
    let state = prop::sample::select(vec![
        OffState::Runnable,
        OffState::Interruptible,
        OffState::Interruptible,
        OffState::Interruptible,
        OffState::Interruptible,
        OffState::Uninterruptible,
        OffState::Stopped,
    ]);
    let waker = (prop::option::weighted(0.9, task()), prop::option::of(number()), -1..9, any::<bool>());
    let waker = prop::option::weighted(0.9, waker);
    let stacks = (prop::option::of(0..12u32), prop::option::of(stack()), prop::option::of(number()));
    // Half of them make sense: a call together with one that ends it.
    let pair = prop::option::of(prop::sample::select(vec![
        (syscalls::FUTEX, syscalls::FUTEX),
        (syscalls::FUTEX, syscalls::EXIT),
        (syscalls::EPOLL_WAIT, syscalls::SENDTO),
        (syscalls::EPOLL_WAIT, syscalls::WRITE),
        (syscalls::WAIT4, syscalls::EXIT_GROUP),
        (syscalls::VFORK, syscalls::EXECVE),
    ]));
    let held = prop::option::weighted(0.3, (task(), any::<bool>()));
    (task(), time(), 0..400u64, (0..100u64, any::<bool>()), state, waker, stacks, (pair, held)).prop_map(
        |(task, off, blocked, (queued, throttled), state, waker, (call, stack, syscall), (pair, held))| {
            let (call, syscall) = pair.map_or((call, syscall), |(asked, _)| (None, Some(asked)));
            let waker = waker.map(|(task, number, descriptor, timer)| {
                (task, pair.map_or(number, |(_, ended)| Some(ended)), descriptor, timer)
            });
            let woken = off.plus(Nanos(blocked));
            Event::OffCpu(OffCpu {
                task,
                off,
                woken,
                on: woken.plus(Nanos(queued)),
                state,
                syscall,
                waker: waker.map(|(task, syscall, descriptor, timer)| Waker {
                    task,
                    pid: 1,
                    comm: String::new(),
                    syscall,
                    descriptor,
                    timer: timer && task.is_none(),
                }),
                call: call.map(CallId),
                stack,
                unfinished: false,
                throttled,
                held: held.map(|(holder, interpreter)| HeldLock { holder, interpreter }),
                unseen_wake: false,
                before: None,
                device: None,
            })
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let class = prop::sample::select(vec![WaitClass::Socket, WaitClass::Futex, WaitClass::Sleep, WaitClass::Disk]);
    prop_oneof![
        1 => (time(), task(), stack(), any::<i64>())
            .prop_map(|(at, task, stack, change)| Event::Memory(Memory { at, task, change, resident: 0, stack })),
        4 => (time(), task(), stack()).prop_map(|(at, task, stack)| Event::Sample(Sample { at, task, stack })),
        8 => off_cpu(),
        1 => (task(), time(), time(), 0..90u64, prop::collection::vec((class, time()), 0..3), stack()).prop_map(
            |(task, from, to, run_queue, blocked, stack)| Event::ShortWaits(ShortWaits {
                task, from, to, run_queue: Nanos(run_queue), blocked, count: 1, stack: Some(stack),
            })
        ),
        1 => (task(), time(), 0..4u32, prop::option::of(stack())).prop_map(|(task, at, socket, stack)| {
            Event::Message(Message {
                at, task, socket: SocketId(socket), layer: Layer::Wire, direction: Direction::Sent, bytes: 1, descriptor: 5,
                marks: vec![], stack,
            })
        }),
        1 => (task(), time(), any::<bool>(), 0..5000u64, prop::option::of(stack())).prop_map(
            |(task, at, read, bytes, stack)| Event::FileIo(FileIo {
                task,
                operation: if read { FileOperation::Read } else { FileOperation::Write },
                first: at, last: at, calls: 1, bytes, stack, file: None,
            })
        ),
    ]
}

/// A request as its server sees it: read, and answered a while later.
fn served((socket, task, at, length): (u32, TaskId, Nanos, u64)) -> [Event; 2] {
    let method = WebMethod("GET".into());
    let target = format!("/route{}", length % 3);
    let call = |step| Mark::Call { wire: Wire::Http1, stream: 0, step };
    let asked = CallStep::Request { method: Some(method), operation: Some(target), host: None, repeat: None };
    let message = |at, direction, marks| {
        let socket = SocketId(socket);
        Event::Message(Message {
            at,
            task,
            socket,
            direction,
            bytes: 1,
            descriptor: 5,
            marks,
            stack: None,
            layer: Layer::Wire,
        })
    };
    let answered = CallStep::Response { status: Some(200), failed: false };
    [
        message(at, Direction::Received, vec![call(asked), call(CallStep::RequestEnd)]),
        message(at.plus(Nanos(length)), Direction::Sent, vec![call(answered), call(CallStep::ResponseEnd)]),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let kind = prop_oneof![
        1 => Just(TurnKind::Ran),
        1 => Just(TurnKind::Started),
        2 => any::<bool>().prop_map(|of_tasks| TurnKind::Main { of_tasks }),
        4 => (0..7u32, any::<bool>()).prop_map(|(round, of_tasks)| TurnKind::Resumed { round, of_tasks }),
    ];
    (time(), task(), 0..4u64, stack(), kind).prop_map(|(at, task, coroutine, stack, kind)| Turn {
        at,
        task,
        coroutine: CoroutineId(coroutine),
        stack,
        kind,
    })
}

prop_compose! {
    fn recording()(
        root in prop::option::weighted(0.97, task()),
        processes in prop::collection::vec((prop::option::of(0..4u32), time(), 1..3usize), 1..4),
        tasks in prop::collection::vec((0..3u32, prop::option::of(task()), birth(), prop::option::weighted(0.3, time())), 2..8),
        calls in prop::collection::vec((task(), time(), number(), -111..3i64, object(), prop::option::of(stack())), 0..12),
        mut events in prop::collection::vec(event(), 0..120),
        sockets in 0..4u32,
        attached in any::<bool>(),
        requests in prop::collection::vec((0..4u32, task(), time(), 0..300u64), 0..12),
        turns in prop::collection::vec(turn(), 0..30),
        own in prop::bool::weighted(0.7),
        sample_hz in prop::sample::select(vec![0u32, 1, 99, 999, 1_000_000, 50_000_000]),
    ) -> Recording {
        events.extend(requests.into_iter().flat_map(served));
        events.sort_by_key(Event::at);
        let mut turns = turns;
        turns.sort_by_key(|turn| turn.at);
        Recording {
            meta: Meta {
                root,
                attached,
                wall: Nanos(WALL),
                sample_hz,
                working_directory: "/p".into(),
                // Or nothing in it is the project's, and all of its native programs are looked into.
                project_roots: vec![if own { "/p" } else { "/q" }.into()],
                ..Meta::default()
            },
            processes: processes.into_iter().enumerate().map(|(index, (parent, born, images))| Process {
                pid: index as u32,
                parent: parent.map(ProcessId),
                born,
                died: None,
                ending: None,
                images: (0..images).map(|image| Image {
                    at: born,
                    comm: format!("p{index}"),
                    executable: "/bin/server".into(),
                    arguments: vec![format!("tool{image}")],
                    working_directory: String::new(),
                    service_name: None,
                    surroundings: None,
                }).collect(),
                own_name: (index == 2).then(|| "named".into()),
                cpu: Nanos::ZERO,
            }).collect(),
            tasks: tasks.into_iter().enumerate().map(|(index, (process, maker, born, died))| Task {
                tid: index as u32, process: ProcessId(process), maker, born, died, comm: String::new(),
            }).collect(),
            calls: calls.into_iter().map(|(task, returned, number, result, object, stack)| Call {
                task, returned, number, result, arguments: [0, 1, 2], object, stack,
            }).collect(),
            sockets: (0..sockets).map(|_| Socket { family: Family::Ipv4, kind: 1, ..Socket::unknown(ProcessId(0)) }).collect(),
            events,
            turns,
            ..Recording::default()
        }
    }
}

/// Stacks of three own functions, a library's and asyncio's, in all lengths up to three.
fn resolved(recording: &Recording) -> Resolved {
    let native = recording.meta.project_roots == [std::path::PathBuf::from("/q")];
    let place = |name: &str, file: &str| Place {
        function: name.into(),
        file: (!native).then(|| file.into()),
        line: Some(3),
        first_line: Some(2),
        language: if native { Language::Native } else { Language::Python },
        module: native.then(|| "/bin/server".into()),
        inlined: false,
        unnamed: None,
    };
    let places = vec![
        place("a", "/p/a.py"),
        place("b", "/p/b.py"),
        place("<module>", "/p/c.py"),
        place("l", "/usr/l.py"),
        place("Lock.acquire", "/usr/asyncio/locks.py"),
        place("BaseEventLoop._run_once", "/usr/asyncio/base_events.py"),
    ];
    let stacks = (0..STACKS)
        .map(|index| (0..index % 4).map(|depth| PlaceId((index / 3 + depth) % 6)).collect::<Vec<_>>().into())
        .collect();
    Resolved { places, stacks }
}

fn check(recording: &Recording, min_share: f64) -> Result<Map, TestCaseError> {
    let resolved = resolved(recording);
    let correlated = correlate::correlate(recording);
    let options = MapOptions { min_share };
    prop_assert_eq!(audit(recording, &resolved, &correlated, &options), vec![]);
    Ok(build(recording, &resolved, &correlated, &options))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn owners_add_up(recording in recording(), min_share in prop::sample::select(vec![0.0, 0.01, 0.2])) {
        check(&recording, min_share)?;
    }

    #[test]
    fn the_same_recording_gives_the_same_map(recording in recording()) {
        prop_assert_eq!(check(&recording, 0.01)?, check(&recording, 0.01)?);
    }
}
