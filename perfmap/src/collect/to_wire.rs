//! What other backends saw, written as the kernel side's records: the recorder has one language.

use perfmap_common as wire;
use perfmap_common::Plain;

/// Whose and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub pid: u32,
    pub tid: u32,
    /// CLOCK_MONOTONIC nanoseconds.
    pub at: u64,
}

/// Ring entries, each preceded by its length: what [`super::item::Item::Events`] takes.
#[derive(Debug, Default)]
pub struct Entries(Vec<u8>);

impl Entries {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn push(&mut self, record: &impl Plain, variable: &[u8]) {
        let bytes = record.as_bytes();
        self.0.extend_from_slice(&((bytes.len() + variable.len()) as u32).to_ne_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(variable);
    }

    pub fn fork(&mut self, maker: Who, child_pid: u32, child_tid: u32, comm: [u8; 16]) {
        self.push(&wire::Fork { header: header(wire::Kind::Fork, maker), child_pid, child_tid, comm }, &[]);
    }

    pub fn exec(&mut self, who: Who, comm: [u8; 16]) {
        self.push(&wire::Named { header: header(wire::Kind::Exec, who), value: u64::from(who.tid), comm }, &[]);
    }

    pub fn rename(&mut self, who: Who, comm: [u8; 16]) {
        self.push(&wire::Named { header: header(wire::Kind::Rename, who), value: 0, comm }, &[]);
    }

    /// `code`: as wait(2) has it; [`wire::EXIT_UNKNOWN`] where nobody told.
    pub fn exit(&mut self, who: Who, code: u32, alive: u32, cpu_ns: u64, comm: [u8; 16]) {
        self.push(&wire::Exit { header: header(wire::Kind::Exit, who), code, alive, cpu_ns, comm }, &[]);
    }

    pub fn sample(&mut self, who: Who, registers: [u64; 17], user: &[u8]) {
        self.push(&wire::Sample { header: header(wire::Kind::Sample, who), stack: stack(registers, user) }, user);
    }

    /// `who.at`: when it went on. Nobody was seen waking it.
    pub fn block(&mut self, who: Who, off: u64, state: u32, syscall: Option<u32>, unfinished: bool) {
        let unfinished = if unfinished { wire::BLOCK_UNFINISHED } else { 0 };
        self.push(
            &wire::Block {
                header: header(wire::Kind::Block, who),
                off,
                wake: 0,
                state,
                syscall: syscall.and_then(|number| i32::try_from(number).ok()).unwrap_or(-1),
                waker_pid: 0,
                waker_tid: 0,
                waker_syscall: -1,
                waker_descriptor: -1,
                waker_comm: [0; 16],
                flags: unfinished | wire::BLOCK_UNSEEN_WAKE,
                holder: 0,
                before_pid: 0,
                before_tid: 0,
                before_comm: [0; 16],
                device: 0,
                reserved: 0,
                waker_goroutine: 0,
            },
            &[],
        );
    }

    pub fn call(&mut self, who: Who, call: &Called, registers: [u64; 17], user: &[u8]) {
        self.push(
            &wire::Call {
                header: header(wire::Kind::Call, who),
                result: call.result,
                arguments: call.arguments,
                identity: call.identity,
                syscall: call.number,
                object: call.object as u32,
                stack: stack(registers, user),
            },
            user,
        );
    }

    /// Sums of short waits up to `who.at`; what they were about is known where their call was.
    pub fn short_waits(&mut self, who: Who, from: u64, run_queue: u64, blocked: u64, count: u64) {
        const OTHER: usize = wire::WAIT_CLASSES - 1;
        let mut classes = [0; wire::WAIT_CLASSES];
        classes[OTHER] = blocked;
        self.push(
            &wire::ShortWaits {
                header: header(wire::Kind::ShortWaits, who),
                from,
                run_queue,
                blocked: classes,
                count,
                stack: stack([0; 17], &[]),
            },
            &[],
        );
    }

    pub fn socket(&mut self, seen: wire::SocketSeen) {
        self.push(&seen, &[]);
    }
}

/// A system call that a wait lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    pub number: u32,
    pub arguments: [u64; 3],
    pub object: wire::Object,
    pub identity: u64,
    pub result: i64,
}

pub fn header(kind: wire::Kind, who: Who) -> wire::Header {
    wire::Header { kind: kind as u32, pid: who.pid, tid: who.tid, cpu: 0, at: who.at }
}

fn stack(registers: [u64; 17], user: &[u8]) -> wire::StackHead {
    wire::StackHead { registers, coroutine: 0, python: 0, kernel: 0, user: user.len() as u32, flags: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::decode::{Record, decode};

    #[test]
    fn what_is_written_decodes() {
        let mut entries = Entries::default();
        let who = Who { pid: 7, tid: 8, at: 99 };
        entries.block(who, 50, 1, Some(202), true);
        entries.sample(who, [3; 17], &[1, 2, 3, 4]);
        let call = Called { number: 202, arguments: [1, 2, 3], object: wire::Object::Pipe, identity: 5, result: -110 };
        entries.call(who, &call, [4; 17], &[9; 16]);
        entries.short_waits(who, 10, 3, 4, 2);
        let bytes = entries.into_bytes();
        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (entry, tail) = tail.split_at(u32::from_ne_bytes(*length) as usize);
            found.push(decode(entry).expect("decodes"));
            rest = tail;
        }
        let [Record::Block(block), Record::Sample(header, sample), Record::Call(call, stack), Record::ShortWaits(..)] =
            found.as_slice()
        else {
            panic!("{found:?}");
        };
        assert_eq!((block.off, block.header.at, block.syscall), (50, 99, 202));
        assert_eq!((header.pid, header.tid, sample.user), (7, 8, &[1, 2, 3, 4][..]));
        assert_eq!((call.identity, stack.user.len(), call.result), (5, 16, -110));
    }
}
