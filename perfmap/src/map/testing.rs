//! Recordings told like stories, in milliseconds, and maps printed compactly.
//!
//! Stacks are written root first: `main work lib.get`; a name with a dot is a library's, one like `server:get` is a
//! function of the program /bin/server, others are the project's.

use std::fmt::Write as _;

use super::{Map, MapOptions, Step};
use crate::{
    correlate::{self, Correlated, Counted, PeerFlow, Protocol, RoundTrip},
    recording::{
        Ask, Asked, Call, CallId, CoroutineId, Direction, Event, Family, FileIo, FileOperation, HeldLock, Image, Layer,
        Message, Meta, Nanos, OffCpu, OffState, OnObject, Process, ProcessId, Recording, Role, Sample, ShortWaits,
        Socket, SocketId, Stack, StackEnd, StackId, Task, TaskId, Turn, TurnKind, WaitClass, Waker,
    },
    resolve::{Language, Place, PlaceId, Resolved},
};

pub(crate) fn ms(value: u64) -> Nanos {
    Nanos(value * 1_000_000)
}

#[derive(Default)]
pub(crate) struct Story {
    pub recording: Recording,
    pub resolved: Resolved,
    trips: Vec<RoundTrip>,
    peers: Vec<PeerFlow>,
    names: Vec<String>,
    written: Vec<String>,
}

/// How a block ended, and what it was on.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub call: u32,
    pub result: i64,
    pub object: OnObject,
    pub by: Option<(TaskId, u32)>,
    pub held: Option<HeldLock>,
}

impl Ended {
    pub(crate) fn call(call: u32) -> Self {
        Self { call, result: 1, object: OnObject::None, by: None, held: None }
    }
    pub(crate) fn by(self, task: TaskId, call: u32) -> Self {
        Self { by: Some((task, call)), ..self }
    }
    pub(crate) fn held(self, holder: TaskId, interpreter: bool) -> Self {
        Self { held: Some(HeldLock { holder, interpreter }), ..self }
    }
    pub(crate) fn result(self, result: i64) -> Self {
        Self { result, ..self }
    }
    pub(crate) fn on(self, object: OnObject) -> Self {
        Self { object, ..self }
    }
}

impl Story {
    /// The root task runs `line`; its life is `wall` long.
    pub(crate) fn new(line: &str, wall: u64) -> (Self, TaskId) {
        let mut story = Self {
            recording: Recording {
                meta: Meta {
                    project_roots: vec!["/p".into()],
                    working_directory: "/p".into(),
                    wall: ms(wall),
                    root: Some(TaskId(0)),
                    ..Meta::default()
                },
                ..Recording::default()
            },
            ..Self::default()
        };
        let root = story.process(None, 0, line);
        story.dies(root, wall);
        (story, root)
    }

    pub(crate) fn process(&mut self, maker: Option<TaskId>, born: u64, line: &str) -> TaskId {
        let id = ProcessId(self.recording.processes.len() as u32);
        let image = |at, line: &str| Image {
            at,
            comm: "comm".into(),
            executable: String::new(),
            arguments: line.split(' ').map(Into::into).collect(),
            working_directory: "/p".into(),
            service_name: None,
            surroundings: None,
        };
        self.recording.processes.push(Process {
            pid: 100 + id.0,
            parent: maker.map(|maker| self.recording.task(maker).process),
            born: ms(born),
            died: None,
            ending: None,
            images: vec![image(ms(born), "inherited"), image(ms(born), line)],
            own_name: None,
            cpu: Nanos::ZERO,
        });
        self.task(maker, born, id)
    }

    pub(crate) fn thread(&mut self, maker: TaskId, born: u64) -> TaskId {
        let process = self.recording.task(maker).process;
        self.task(Some(maker), born, process)
    }

    fn task(&mut self, maker: Option<TaskId>, born: u64, process: ProcessId) -> TaskId {
        let id = TaskId(self.recording.tasks.len() as u32);
        let tid = self.recording.tasks.iter().filter(|task| task.process == process).count() as u32 * 1000;
        self.recording.tasks.push(Task {
            tid: 100 + process.0 + tid,
            process,
            maker,
            born: ms(born),
            died: None,
            comm: "comm".into(),
        });
        id
    }

    pub(crate) fn dies(&mut self, task: TaskId, at: u64) {
        self.recording.tasks[task.0 as usize].died = Some(ms(at));
    }

    /// Its program is the file /bin/NAME.
    pub(crate) fn runs(&mut self, task: TaskId, name: &str) {
        let process = self.recording.task(task).process;
        for image in &mut self.recording.processes[process.0 as usize].images {
            image.executable = format!("/bin/{name}");
        }
    }

    pub(crate) fn calls_itself(&mut self, task: TaskId, name: &str) {
        let process = self.recording.task(task).process;
        self.recording.processes[process.0 as usize].own_name = Some(name.into());
    }

    pub(crate) fn stack(&mut self, text: &str) -> StackId {
        if let Some(known) = self.written.iter().position(|known| known == text) {
            return StackId(known as u32);
        }
        let mut places: Vec<PlaceId> = Vec::new();
        for name in text.split_whitespace() {
            let id = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
                self.names.push(name.into());
                let line = self.names.len() as u32 * 10;
                let of_asyncio = name.strip_prefix("asyncio.").and_then(|rest| rest.split_once('.'));
                let file = match of_asyncio {
                    Some((module, _)) => format!("/usr/lib/python3/asyncio/{module}.py"),
                    None if name.contains('.') => "/usr/lib/python3/lib.py".into(),
                    None => "/p/app.py".into(),
                };
                let (module, function) = match name.split_once(':') {
                    Some((program, function)) => (Some(format!("/bin/{program}")), function),
                    None => (name.starts_with("pthread_").then(|| "/usr/lib/libc.so.6".into()), name),
                };
                let native = module.is_some();
                self.resolved.places.push(Place {
                    function: function.into(),
                    file: (!native).then_some(file),
                    line: Some(line + 3),
                    first_line: Some(line),
                    language: if native { Language::Native } else { Language::Python },
                    module,
                    inlined: false,
                    unnamed: None,
                });
                self.names.len() - 1
            });
            places.insert(0, PlaceId(id as u32));
        }
        self.written.push(text.into());
        self.resolved.stacks.push(places.into_boxed_slice());
        self.recording.stacks.push(Stack {
            kernel: Box::default(),
            native: Box::default(),
            python: Box::default(),
            end: StackEnd::Complete,
        });
        StackId(self.written.len() as u32 - 1)
    }

    /// Samples every 10 ms, and where the stretch begins and ends, so that it is cut there exactly.
    pub(crate) fn cpu(&mut self, task: TaskId, from: u64, to: u64, stack: &str) {
        let stack = self.stack(stack);
        // Each sample stands for as much time as any other.
        let of_period = |at: u64| Nanos((ms(at).0 + ms(to.min(at + 10)).0) / 2);
        for at in (from..to).step_by(10).map(of_period) {
            self.recording.events.push(Event::Sample(Sample { at, task, stack }));
        }
    }

    pub(crate) fn block(&mut self, task: TaskId, from: u64, to: u64, stack: &str, ended: Ended) {
        self.block_with(task, [from, to], stack, ended, [0, 5, 0]);
    }

    pub(crate) fn block_with(
        &mut self,
        task: TaskId,
        [from, to]: [u64; 2],
        stack: &str,
        ended: Ended,
        arguments: [u64; 3],
    ) {
        let stack = self.stack(stack);
        let call = CallId(self.recording.calls.len() as u32);
        self.recording.calls.push(Call {
            task,
            returned: ms(to),
            number: ended.call,
            result: ended.result,
            arguments,
            object: ended.object,
            stack: Some(stack),
        });
        self.recording.events.push(Event::OffCpu(OffCpu {
            task,
            off: ms(from),
            woken: ms(to),
            on: ms(to),
            state: OffState::Interruptible,
            syscall: Some(ended.call),
            waker: ended.by.map(|(by, syscall)| Waker {
                task: Some(by),
                pid: 0,
                comm: String::new(),
                syscall: Some(syscall),
                descriptor: 5,
                timer: false,
            }),
            call: Some(call),
            stack: None,
            unfinished: false,
            throttled: false,
            held: ended.held,
            unseen_wake: false,
            before: None,
            device: None,
        }));
    }

    pub(crate) fn preempted(&mut self, task: TaskId, from: u64, to: u64) {
        self.recording.events.push(Event::OffCpu(OffCpu {
            task,
            off: ms(from),
            woken: ms(from),
            on: ms(to),
            state: OffState::Runnable,
            syscall: None,
            waker: None,
            call: None,
            stack: None,
            unfinished: false,
            throttled: false,
            held: None,
            unseen_wake: false,
            before: None,
            device: None,
        }));
    }

    /// All that was told so far of waits: the task's cgroup had no CPU quota left.
    pub(crate) fn throttled_while_off(&mut self) {
        for event in &mut self.recording.events {
            if let Event::OffCpu(off) = event {
                off.throttled = true;
            }
        }
    }

    pub(crate) fn short_waits(&mut self, task: TaskId, from: u64, to: u64, blocked: &[(WaitClass, u64)], stack: &str) {
        let stack = Some(self.stack(stack));
        self.recording.events.push(Event::ShortWaits(ShortWaits {
            task,
            from: ms(from),
            to: ms(to),
            run_queue: Nanos::ZERO,
            blocked: blocked.iter().map(|(class, length)| (*class, ms(*length))).collect(),
            count: 1,
            stack,
        }));
    }

    pub(crate) fn reads(&mut self, task: TaskId, at: u64, bytes: u64, stack: Option<&str>) {
        let stack = stack.map(|stack| self.stack(stack));
        self.recording.events.push(Event::FileIo(FileIo {
            task,
            operation: FileOperation::Read,
            first: ms(at),
            last: ms(at),
            calls: 1,
            bytes,
            stack,
            file: None,
        }));
    }

    /// What is known of a loop's coroutine.
    pub(crate) fn turn(&mut self, task: TaskId, at: Nanos, coroutine: u64, stack: &str, kind: TurnKind) {
        let (coroutine, stack) = (CoroutineId(coroutine), self.stack(stack));
        self.recording.turns.push(Turn { at, task, coroutine, stack, kind });
    }

    /// An event loop was asked for something.
    pub(crate) fn asks(&mut self, task: TaskId, at: Nanos, stack: &str, what: Asked) {
        let stack = self.stack(stack);
        self.recording.asks.push(Ask { at, task, stack, what });
    }

    pub(crate) fn tid(&self, task: TaskId) -> u32 {
        self.recording.task(task).tid
    }

    /// A transfer; a sent one has a stack and is a turn of the coroutine, if there is one.
    pub(crate) fn message(&mut self, task: TaskId, at: Nanos, socket: SocketId, sent: Option<(u64, &str)>) {
        if let Some((coroutine, stack)) = sent {
            self.turn(task, at, coroutine, stack, TurnKind::Ran);
        }
        self.transfer(task, at, socket, sent.map(|(_, stack)| stack), 9);
    }

    /// Without a coroutine's turn. `sent`: the stack of a send.
    pub(crate) fn transfer(&mut self, task: TaskId, at: Nanos, socket: SocketId, sent: Option<&str>, bytes: u64) {
        let stack = sent.map(|stack| self.stack(stack));
        self.recording.events.push(Event::Message(Message {
            layer: Layer::Wire,
            at,
            task,
            socket,
            direction: if sent.is_some() { Direction::Sent } else { Direction::Received },
            bytes,
            descriptor: 5,
            marks: Vec::new(),
            stack,
        }));
    }

    pub(crate) fn client(&mut self, task: TaskId) -> SocketId {
        let socket = self.socket(task);
        self.recording.sockets[socket.0 as usize].role = Role::Client;
        socket
    }

    /// Two sockets become the ends of one connection.
    pub(crate) fn connect(&mut self, one: SocketId, other: SocketId) {
        for (socket, kernel, peer) in [(one, 1, 2), (other, 2, 1)] {
            let socket = &mut self.recording.sockets[socket.0 as usize];
            (socket.family, socket.kernel, socket.peer_kernel) = (Family::Unix, kernel, peer);
        }
    }

    /// One end of a connection.
    pub(crate) fn socket(&mut self, task: TaskId) -> SocketId {
        self.recording.sockets.push(Socket {
            family: Family::Ipv4,
            kind: 1,
            ..Socket::unknown(self.recording.task(task).process)
        });
        SocketId(self.recording.sockets.len() as u32 - 1)
    }

    pub(crate) fn peer(&mut self, address: &str, server: Option<TaskId>) -> usize {
        self.peers.push(PeerFlow {
            endpoint: crate::recording::Endpoint::Unix(None),
            address: address.into(),
            process: server.map(|task| self.recording.task(task).process),
            protocol: "http/1.1".into(),
            round_trips: 0,
            failed: 0,
            host: None,
            connections: 1,
            failed_connects: 0,
            bytes_sent: 0,
            bytes_received: 0,
            connect: None,
            tls_handshake: None,
            counted: Counted::Exact,
            local: true,
            latency: None,
        });
        self.peers.len() - 1
    }

    pub(crate) fn trip(&mut self, task: TaskId, peer: usize, sent: u64, received: u64, route: &str, stack: &str) {
        let stack = Some(self.stack(stack));
        self.peers[peer].round_trips += 1;
        self.trips.push(RoundTrip {
            socket: SocketId(0),
            server_socket: None,
            inbound: false,
            sent: ms(sent),
            received: ms(received),
            task,
            stack,
            protocol: Protocol::Http1,
            method: Some("POST".into()),
            route: Some(route.into()),
            status: Some(200),
            refused: false,
            repeat: None,
            request_bytes: 10,
            response_bytes: 10,
            counted: Counted::Exact,
            peer: Some(peer),
            asked: Default::default(),
            answered: Default::default(),
        });
    }

    /// The server's end of the trip made last.
    pub(crate) fn was_answered_at(&mut self, socket: SocketId) {
        if let Some(trip) = self.trips.last_mut() {
            trip.server_socket = Some(socket);
        }
    }

    /// The trip made last was a statement to a database.
    pub(crate) fn was_query(&mut self, protocol: Protocol) {
        if let Some(trip) = self.trips.last_mut() {
            (trip.protocol, trip.method, trip.status) = (protocol, None, None);
        }
    }

    /// The trip made last was HTTP/2's, on a connection that was joined.
    pub(crate) fn was_joined(&mut self) {
        if let Some(trip) = self.trips.last_mut() {
            (trip.protocol, trip.route) = (Protocol::Http2, None);
        }
    }

    pub(crate) fn correlated(&mut self) -> Correlated {
        self.recording.events.sort_by_key(Event::at);
        self.recording.turns.sort_by_key(|turn| turn.at);
        let mut correlated = correlate::correlate(&self.recording);
        correlated.flows.round_trips = self.trips.clone();
        correlated.flows.peers = self.peers.clone();
        let Correlated { timelines, waits, shorts, flows } = &mut correlated;
        correlate::database::name(flows, timelines, waits, shorts);
        correlated
    }

    pub(crate) fn map(&mut self) -> Map {
        let correlated = self.correlated();
        super::build(&self.recording, &self.resolved, &correlated, &MapOptions::default())
    }
}

/// One line a step: where, wall and own milliseconds, what they were made of.
pub(crate) fn show(map: &Map) -> String {
    let mut text = String::new();
    for step in &map.steps {
        show_step(map, step, 0, &mut text);
    }
    let parts = parts(map.outside.cpu, &map.outside.waits);
    let _ = writeln!(text, "(outside) {}{parts}", rounded(map.outside.self_time));
    text
}

fn show_step(map: &Map, step: &Step, depth: usize, text: &mut String) {
    let service = if map.services.len() > 1 { format!("@{} ", map.services[step.service]) } else { String::new() };
    let call = step.call.as_ref().map_or(String::new(), |call| {
        format!(" → {} {} ×{}", call.peer, call.endpoint.clone().unwrap_or_default(), call.round_trips)
    });
    let _ = writeln!(
        text,
        "{}{} {} {service}{:?}{} wall {} self {}{}{call}{}",
        "  ".repeat(depth),
        step.id,
        step.function,
        step.kind,
        if step.beside { " beside" } else { "" },
        rounded(step.wall),
        rounded(step.self_time),
        parts(step.cpu, &step.waits),
        if step.file_read > 0 { format!(" read {}", step.file_read) } else { String::new() },
    );
    for child in &step.children {
        show_step(map, child, depth + 1, text);
    }
}

fn rounded(length: Nanos) -> u64 {
    (length.0 + 500_000) / 1_000_000
}

fn parts(cpu: Nanos, waits: &super::Waits) -> String {
    let mut text = String::new();
    let waits = waits.0.iter().map(|(cause, length)| (format!("{cause:?}").to_lowercase(), *length));
    for (name, length) in [("cpu".to_owned(), cpu)].into_iter().chain(waits) {
        if rounded(length) > 0 {
            let _ = write!(text, " {name} {}", rounded(length));
        }
    }
    text
}
