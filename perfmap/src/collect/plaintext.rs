//! Plaintext that TLS libraries took or gave → messages of the sockets that carried it. The bytes go through a protocol
//! decoder at once and are dropped; what it saw waits until the connection's socket is known.
//!
//! Where a library's call uses the socket itself, the kernel side names it. Where it works on memory (asyncio, Node) the
//! ciphertext tells: what a thread encrypted leaves by its next transfer whose records fit, and what it decrypts came by
//! its last one.

use std::collections::{HashMap, VecDeque};

use perfmap_common as wire;

use super::rustls_parts::Parts;
use crate::{
    protocol::{Decoder, RunKey},
    recording::{Direction, Mark, Nanos, SocketId, StackId, TaskId},
};

/// Messages of one connection that wait for its socket; beyond, it is taken for one that has none.
const HELD: usize = 256;
/// Writes of one thread whose ciphertext was not seen.
const WRITTEN: usize = 64;
const CONNECTIONS: usize = 65_536;
const APPLICATION_DATA: u8 = 23;
/// Most plaintext of one record (RFC 8446, 5.1).
const FRAGMENT: u64 = 1 << 14;
/// What a record adds to its plaintext: a tag and a content type (1.3), a tag (ChaCha20), a nonce and a tag (1.2).
const ADDED: [u64; 4] = [17, 9, 16, 24];
/// An IV, a MAC up to SHA-384's and padding: only in whole blocks.
const ADDED_CBC: std::ops::RangeInclusive<u64> = 37..=96;
const BLOCK: u64 = 16;

/// A library's object in a process: addresses are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    pid: u32,
    connection: u64,
}

/// A message of the plaintext layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub at: Nanos,
    pub task: TaskId,
    pub direction: Direction,
    pub bytes: u64,
    pub marks: Vec<Mark>,
    pub stack: Option<StackId>,
}

#[derive(Debug)]
struct Connection {
    decoder: Decoder,
    socket: Option<SocketId>,
    held: VecDeque<Seen>,
    /// Who used it last.
    task: Option<TaskId>,
}

/// What a thread did with TLS last.
#[derive(Debug, Default)]
struct Thread {
    written: VecDeque<(Key, u64)>,
    /// The socket that it read last, and how much since it read another one.
    received: Option<(SocketId, u64)>,
}

#[derive(Debug, Default)]
pub struct Plaintexts {
    connections: HashMap<Key, Connection>,
    of_socket: HashMap<SocketId, Key>,
    threads: HashMap<u32, Thread>,
    parts: Parts,
    /// The run's: equal requests are equal over TLS and without.
    key: RunKey,
}

impl Plaintexts {
    pub fn new(key: RunKey) -> Plaintexts {
        Plaintexts { key, ..Plaintexts::default() }
    }

    /// One call that moved plaintext; `socket` is what the call itself used. Returns what can be told of a socket now.
    pub fn moved(
        &mut self,
        record: &wire::Plaintext,
        plaintext: &[u8],
        socket: Option<SocketId>,
        (at, task, stack): (Nanos, TaskId, Option<StackId>),
    ) -> Option<(SocketId, Vec<Seen>)> {
        let tid = record.header.tid;
        let direction = if record.flags & wire::PLAINTEXT_SENT != 0 { Direction::Sent } else { Direction::Received };
        let key = self.key_of(record, direction);
        if let Some(known) = self.connections.get(&key)
            && known.socket.is_some()
            && socket.is_some()
            && known.socket != socket
        {
            self.forget(key); // its end was not seen
        }
        if self.connections.len() >= CONNECTIONS && !self.connections.contains_key(&key) {
            return None;
        }
        let connection = self.connections.entry(key).or_insert_with(|| Connection::new(&self.key));
        connection.task = Some(task);
        let mut marks = connection.decoder.feed(direction, plaintext, record.bytes);
        connection.decoder.imprint(direction, plaintext, record.bytes, &mut marks);
        let seen = Seen { at, task, direction, bytes: record.bytes, marks, stack };
        if let Some(socket) = connection.socket {
            return Some((socket, vec![seen]));
        }
        if connection.held.len() >= HELD {
            connection.held.clear();
        }
        connection.held.push_back(seen);
        if let Some(socket) = socket {
            return self.tie(key, socket);
        }
        let thread = self.threads.entry(tid).or_default();
        match direction {
            Direction::Sent => {
                if thread.written.len() >= WRITTEN {
                    thread.written.pop_front();
                }
                thread.written.push_back((key, record.bytes));
                None
            }
            Direction::Received => {
                let (socket, bytes) = thread.received?;
                (bytes > record.bytes && !self.of_socket.contains_key(&socket)).then(|| self.tie(key, socket))?
            }
        }
    }

    /// A transfer over a socket that carries TLS.
    pub fn transferred(
        &mut self,
        tid: u32,
        socket: SocketId,
        direction: Direction,
        bytes: u64,
        marks: &[Mark],
    ) -> Option<(SocketId, Vec<Seen>)> {
        let thread = self.threads.entry(tid).or_default();
        match direction {
            Direction::Received => {
                thread.received = Some(match thread.received {
                    Some((same, sum)) if same == socket => (socket, sum.saturating_add(bytes)),
                    Some(_) | None => (socket, bytes),
                });
                None
            }
            Direction::Sent => {
                let known = self.of_socket.get(&socket);
                let place = thread
                    .written
                    .iter()
                    .position(|(key, bytes)| known.is_none_or(|known| known == key) && carries(marks, *bytes))?;
                let (key, _) = thread.written.remove(place)?;
                if known.is_some() { None } else { self.tie(key, socket) }
            }
        }
    }

    /// The socket of the connection that an object in the process's memory points to.
    pub fn of_object(&self, pid: u32, object: &[u8]) -> Option<SocketId> {
        let words = object.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes));
        let mut known = words.filter_map(|connection| self.connections.get(&Key { pid, connection })?.socket);
        known.next()
    }

    /// The socket's end was read: completes what ends with it.
    pub fn ended(&mut self, socket: SocketId, at: Nanos) -> Option<(SocketId, Vec<Seen>)> {
        let connection = self.connections.get_mut(self.of_socket.get(&socket)?)?;
        let marks = connection.decoder.closed();
        let task = connection.task?;
        (!marks.is_empty())
            .then(|| (socket, vec![Seen { at, task, direction: Direction::Received, bytes: 0, marks, stack: None }]))
    }

    /// The socket is gone: the next use of the library's object is another connection's.
    pub fn gone(&mut self, socket: SocketId, at: Nanos) -> Option<(SocketId, Vec<Seen>)> {
        let told = self.ended(socket, at);
        if let Some(key) = self.of_socket.get(&socket) {
            self.forget(*key);
        }
        told
    }

    /// The thread's, and the whole process's where it is over.
    pub fn exited(&mut self, tid: u32, process: Option<u32>) {
        self.threads.remove(&tid);
        if let Some(pid) = process {
            self.connections.retain(|key, _| key.pid != pid);
            self.of_socket.retain(|_, key| key.pid != pid);
            self.parts.exited(pid);
        }
    }

    /// Of all that is held.
    pub fn stacks(&mut self) -> impl Iterator<Item = &mut StackId> {
        self.connections.values_mut().flat_map(|connection| &mut connection.held).filter_map(|seen| seen.stack.as_mut())
    }

    fn key_of(&mut self, record: &wire::Plaintext, direction: Direction) -> Key {
        let (pid, connection) = (record.header.pid, record.connection);
        if record.flags & wire::PLAINTEXT_RUSTLS == 0 {
            return Key { pid, connection };
        }
        let (connection, joined) = match direction {
            Direction::Sent => self.parts.written(pid, connection),
            Direction::Received => self.parts.read(pid, connection),
        };
        // Read before anything was written: a server's.
        for (part, whole) in joined {
            let (part, whole) = (Key { pid, connection: part }, Key { pid, connection: whole });
            if let Some(connection) = self.connections.remove(&part) {
                if let Some(socket) = connection.socket {
                    self.of_socket.insert(socket, whole);
                }
                self.connections.insert(whole, connection);
            }
        }
        Key { pid, connection }
    }

    fn tie(&mut self, key: Key, socket: SocketId) -> Option<(SocketId, Vec<Seen>)> {
        let connection = self.connections.get_mut(&key)?;
        connection.socket = Some(socket);
        self.of_socket.insert(socket, key);
        for thread in self.threads.values_mut() {
            thread.written.retain(|(of, _)| *of != key);
        }
        Some((socket, connection.held.drain(..).collect()))
    }

    fn forget(&mut self, key: Key) {
        if let Some(Connection { socket: Some(socket), .. }) = self.connections.remove(&key)
            && self.of_socket.get(&socket) == Some(&key)
        {
            self.of_socket.remove(&socket);
        }
    }
}

impl Connection {
    fn new(key: &RunKey) -> Connection {
        Connection { decoder: Decoder::with_key(key.clone()), socket: None, held: VecDeque::new(), task: None }
    }
}

/// Whether one of a transfer's records can hold a write of so many bytes, or the first part of a longer one.
fn carries(marks: &[Mark], bytes: u64) -> bool {
    marks.iter().any(|mark| match mark {
        Mark::TlsRecord { content: APPLICATION_DATA, length } => {
            let length = u64::from(*length);
            let fits = |added| ADDED.contains(&added) || (ADDED_CBC.contains(&added) && length.is_multiple_of(BLOCK));
            length.checked_sub(bytes.min(FRAGMENT)).is_some_and(fits)
        }
        _ => false,
    })
}

#[cfg(test)]
#[path = "plaintext_tests.rs"]
mod tests;
