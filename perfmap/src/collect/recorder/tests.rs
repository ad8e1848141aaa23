//! An hour of requests, as the kernel side tells them, through a recorder that may keep little.

use perfmap_common as wire;
use perfmap_common::Plain;

use super::*;
use crate::{
    correlate::flows,
    recording::{Endpoint, Layer},
};

pub const ROOT: u32 = 7;
const SECOND: u64 = 1_000_000_000;
const GET: &[u8] = b"GET /item/17 HTTP/1.1\r\nHost: shop\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
/// Requests on one connection.
const KEPT_ALIVE: u64 = 10;

#[derive(Default)]
pub struct Kernel {
    pub batch: Vec<u8>,
    pub at: u64,
}

impl Kernel {
    pub fn header(&mut self, kind: wire::Kind) -> wire::Header {
        self.at += 1_000;
        wire::Header { kind: kind as u32, pid: ROOT, tid: ROOT, cpu: 0, at: self.at }
    }

    pub fn entry(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.batch.extend_from_slice(&(length as u32).to_ne_bytes());
        parts.iter().for_each(|part| self.batch.extend_from_slice(part));
    }

    fn state(&mut self, cookie: u64, from: u32, to: u32) {
        let mut ip = [0; 16];
        ip[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        let seen = wire::SocketSeen {
            header: self.header(wire::Kind::SocketState),
            socket: cookie,
            kernel: 0xffff_0000 + cookie % 64,
            peer: 0,
            netns: 1,
            family: 2,
            kind: 1,
            local_port: 40_000 + (cookie % 8_000) as u16,
            remote_port: 8000,
            state: 0,
            protocol: 6,
            local_ip: ip,
            remote_ip: ip,
        };
        self.entry(&[wire::SocketState { seen, from, to }.as_bytes()]);
    }

    fn message(&mut self, cookie: u64, flags: u32, payload: &[u8]) {
        let message = wire::Message {
            header: self.header(wire::Kind::Message),
            socket: cookie,
            bytes: payload.len() as u64,
            skipped_messages: 0,
            skipped_bytes: 0,
            syscall: 1,
            descriptor: 3,
            captured: payload.len() as u32,
            flags,
            stack: NO_STACK,
        };
        self.entry(&[message.as_bytes(), payload]);
    }

    /// Half a millisecond of waiting for the answer.
    fn wait(&mut self, cookie: u64) {
        let off = self.at;
        self.at += 500_000;
        let on = self.at + 1_000;
        self.blocks((off, 0, on), 0, 0, 0);
        self.returned(self.at + 1_000, 0, 3, Some(cookie));
    }

    /// A wait in a system call: when it began, was ended by a thread (0: it is not known which) and when the CPU was back.
    pub fn blocks(&mut self, (off, wake, on): (u64, u64, u64), call: i32, waker: u32, flags: u32) {
        let header = wire::Header { at: on, ..self.header(wire::Kind::Block) };
        let block = wire::Block {
            header,
            off,
            wake,
            state: 1,
            syscall: call,
            waker_pid: waker,
            waker_tid: waker,
            waker_syscall: -1,
            waker_descriptor: -1,
            waker_comm: [0; 16],
            waker_goroutine: 0,
            flags,
            holder: 0,
            before_pid: 0,
            before_tid: 0,
            before_comm: [0; 16],
            device: 0,
            reserved: 0,
        };
        self.entry(&[block.as_bytes()]);
    }

    /// The end of a system call, which was on a socket or on nothing.
    pub fn returned(&mut self, at: u64, call: i32, result: i64, socket: Option<u64>) {
        let header = wire::Header { at, ..self.header(wire::Kind::Call) };
        let object = if socket.is_some() { wire::Object::Socket } else { wire::Object::None };
        let call = wire::Call {
            header,
            result,
            arguments: [3, 0, 0],
            identity: socket.map_or(0, |cookie| 0xffff_0000 + cookie % 64),
            syscall: call as u32,
            object: object as u32,
            stack: NO_STACK,
        };
        self.entry(&[call.as_bytes()]);
    }
}

pub const NO_STACK: wire::StackHead =
    wire::StackHead { registers: [0; 17], coroutine: 0, python: 0, kernel: 0, user: 0, flags: 0 };

pub fn recorder(bytes: usize) -> Recorder {
    Recorder::new(0, Some(ROOT), None, None, Detail { bytes, fold: flows::fold })
}

/// A request after the other, ten on each of two connections that are open at a time; every second one batch. Returns how
/// many there were.
fn requests(recorder: &mut Recorder, seconds: u64, a_second: u64, mut look: impl FnMut(&Recorder)) -> u64 {
    let mut kernel = Kernel::default();
    let mut asked = [0u64; 2];
    let mut cookies = [1u64, 2];
    let mut count = 0;
    for second in 0..seconds {
        kernel.at = kernel.at.max(second * SECOND);
        for number in 0..a_second {
            let which = (number % 2) as usize;
            if asked[which] == KEPT_ALIVE {
                kernel.state(cookies[which], 1, 7);
                kernel.state(cookies[which], 7, 7);
                cookies[which] += 2;
                asked[which] = 0;
            }
            if asked[which] == 0 {
                kernel.state(cookies[which], 7, 2);
                kernel.state(cookies[which], 2, 1);
            }
            kernel.message(cookies[which], wire::MESSAGE_SENT, GET);
            kernel.wait(cookies[which]);
            kernel.message(cookies[which], 0, OK);
            asked[which] += 1;
            count += 1;
        }
        recorder.accept(Item::Events(std::mem::take(&mut kernel.batch)));
        look(recorder);
    }
    count
}

#[test]
fn an_hour_takes_no_more_memory_than_a_minute_and_every_request_is_counted() {
    const LIMIT: usize = 256 << 10;
    // What one batch brings comes on top before it is looked at.
    const MOST: usize = LIMIT + (64 << 10);
    let mut recorder = recorder(LIMIT);
    let (mut held, mut sockets) = (0, 0);
    let count = requests(&mut recorder, 3600, 20, |recorder| {
        held = held.max(recorder.held);
        sockets = sockets.max(recorder.sockets.sockets.len());
        let real: usize = recorder.events.iter().map(window::size).sum();
        assert!(real <= recorder.held, "{real} bytes of events, thought to be {}", recorder.held);
        assert!(recorder.calls.len() <= recorder.events.len() && recorder.open_waits.is_empty());
    });
    assert!(held <= MOST, "{held} bytes held");
    assert!(sockets < 200, "{sockets} sockets of {} connections", count / KEPT_ALIVE);
    let (recording, _) = recorder.finish(&Losses::default());
    assert_eq!(count, 72_000);
    assert_eq!(recording.losses.total(), 0, "{:?}", recording.losses);
    assert!(recording.earlier.length > Nanos(3000 * SECOND) && recording.events.is_sorted_by_key(Event::at));
    let flows = flows::flows(&recording);
    assert!(flows.round_trips.len() > 10, "nothing is left in detail");
    let [peer] = flows.peers.as_slice() else { panic!("{:?}", flows.peers) };
    assert!(matches!(peer.endpoint, Endpoint::Internet { .. }));
    let bytes = [peer.bytes_sent, peer.bytes_received];
    assert_eq!((peer.round_trips, peer.failed, peer.connections), (count, 0, count / KEPT_ALIVE));
    assert_eq!(bytes, [count * GET.len() as u64, count * OK.len() as u64]);
    assert_eq!(peer.counted, flows::Counted::Exact);
    let latency = peer.latency.expect("latencies");
    assert!(latency.min >= Nanos(500_000) && latency.max < Nanos(600_000), "{latency:?}");
}

#[test]
fn what_stays_is_whole_in_itself() {
    let mut small = recorder(96 << 10);
    requests(&mut small, 30, 40, |_| {});
    let (recording, _) = small.finish(&Losses::default());
    let mut waits = 0;
    for event in &recording.events {
        match event {
            Event::OffCpu(wait) => {
                let call = recording.call(wait.call.expect("its call is kept with it"));
                assert!(call.returned >= wait.on && wait.off < wait.on);
                waits += 1;
            }
            Event::Message(message) => {
                assert_eq!(message.layer, Layer::Wire);
                assert!((message.socket.0 as usize) < recording.sockets.len());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(waits > 20, "{waits} waits");
    let bytes = crate::recording::file::encode(&recording).expect("encodes");
    assert_eq!(crate::recording::file::decode(&bytes).as_ref(), Ok(&recording), "it can be read again");
}

#[test]
fn enough_memory_keeps_everything() {
    let mut large = recorder(64 << 20);
    let count = requests(&mut large, 30, 40, |_| {});
    let (recording, _) = large.finish(&Losses::default());
    assert!(recording.earlier.is_empty() && recording.earlier.requests.is_empty());
    assert_eq!(flows::flows(&recording).round_trips.len() as u64, count);
}

/// Each from another place, as deep recursion makes them: what is given up does not stay by its stacks.
#[test]
fn stacks_that_nothing_names_are_given_up() {
    const LIMIT: usize = 128 << 10;
    let mut small = recorder(LIMIT);
    let mut most = 0;
    for second in 0..400u64 {
        let mut kernel = Kernel { at: second * SECOND, ..Kernel::default() };
        for number in 0..20 {
            let registers = std::array::from_fn(|_| 0x1000 + second * 0x100 + number);
            let header = kernel.header(wire::Kind::Sample);
            let sample = wire::Sample { header, stack: wire::StackHead { registers, ..NO_STACK } };
            kernel.entry(&[sample.as_bytes()]);
        }
        small.accept(Item::Events(kernel.batch));
        most = most.max(small.stacks.count());
    }
    assert!(most < 1000, "{most} stacks of 8000");
    let (recording, _) = small.finish(&Losses::default());
    let mut last = 0;
    for event in &recording.events {
        let Event::Sample(sample) = event else { panic!("{event:?}") };
        // Still its own: each stack is its address.
        let [frame] = &*recording.stack(sample.stack).native else { panic!("not one frame") };
        let crate::recording::Frame::Unmapped { address } = recording.frames[frame.0 as usize] else {
            panic!("mapped")
        };
        assert!(address > last, "{address:x} after {last:x}");
        last = address;
    }
    assert!(recording.events.len() > 100 && last >= 0x1000 + 399 * 0x100, "{} events", recording.events.len());
}
