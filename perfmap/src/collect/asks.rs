//! Handles that an event loop's library makes, opens and uses again → who asked for what is sent on a socket.
//!
//! libuv makes a handle where the program asks for a connection, and the socket only when it opens it, in a later turn.
//! Handles are told by their addresses, which are used again. What they are for is nothing that is known here.

use std::collections::HashMap;

use crate::recording::{Ask, Asked, Nanos, SocketId, StackId, TaskId};

/// Handles that are remembered; beyond, new ones are nobody's.
const HANDLES: usize = 65_536;

/// An address in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub pid: u32,
    pub address: u64,
}

/// When, by whom and where it was asked for.
pub type Asker = (Nanos, TaskId, StackId);

#[derive(Debug)]
struct Handle {
    made: Option<Asker>,
    wrap: u64,
    socket: Option<SocketId>,
}

#[derive(Debug, Default)]
pub struct Asks {
    handles: HashMap<Key, Handle>,
    /// What handles belong to → the handle's address.
    wraps: HashMap<Key, u64>,
    /// By tid: the handle whose connection the thread opens next.
    connecting: HashMap<u32, Key>,
    of_socket: HashMap<SocketId, Key>,
    /// Handles that were made before the probes were there, or before perfmap: what they belong to → their connections.
    older: HashMap<Key, SocketId>,
    /// By tid: who was given such a connection and has sent nothing yet. None: several of them, and which is whose is not known.
    given: HashMap<u32, Option<(Key, Asker)>>,
}

impl Asks {
    /// `wrap`: what the handle belongs to; 0: not known.
    pub fn made(&mut self, handle: Key, wrap: u64, by: Asker) {
        self.forget(handle);
        if self.handles.len() >= HANDLES {
            return;
        }
        self.handles.insert(handle, Handle { made: Some(by), wrap, socket: None });
        if wrap != 0 {
            self.wraps.insert(Key { pid: handle.pid, address: wrap }, handle.address);
        }
    }

    pub fn connects(&mut self, tid: u32, handle: Key) {
        if self.handles.contains_key(&handle) {
            self.connecting.insert(tid, handle);
        }
    }

    /// The thread has begun to open a connection.
    pub fn opened(&mut self, tid: u32, socket: SocketId) -> Option<Ask> {
        let key = self.connecting.remove(&tid)?;
        let handle = self.handles.get_mut(&key)?;
        let by = handle.made.take()?;
        handle.socket = Some(socket);
        self.of_socket.insert(socket, key);
        Some(send(by, socket))
    }

    /// A connection that is open is given to another request.
    pub fn reused(&self, wrap: Key, by: Asker) -> Option<Ask> {
        let address = *self.wraps.get(&wrap)?;
        let socket = self.handles.get(&Key { pid: wrap.pid, address })?.socket?;
        Some(send(by, socket))
    }

    /// The same, of a connection that nobody was seen to open: it is the next one of that kind that the thread sends on.
    pub fn reused_unknown(&mut self, tid: u32, wrap: Key, by: Asker) -> Option<Ask> {
        if let Some(socket) = self.older.get(&wrap) {
            return Some(send(by, *socket));
        }
        if self.older.len() < HANDLES && self.given.len() < HANDLES {
            let given = self.given.entry(tid).or_insert(Some((wrap, by)));
            given.take_if(|(other, _)| *other != wrap);
        }
        None
    }

    /// The thread has sent something on a connection of a client.
    pub fn sent(&mut self, tid: u32, socket: SocketId) -> Option<Ask> {
        if self.given.is_empty() || self.of_socket.contains_key(&socket) {
            return None;
        }
        self.given.get(&tid)?.as_ref()?; // of several none is known until the loop rests
        let (wrap, by) = self.given.remove(&tid)??;
        if self.older.values().any(|known| *known == socket) {
            return None;
        }
        self.older.insert(wrap, socket);
        Some(send(by, socket))
    }

    /// The thread's loop waits: what is sent later may be another one's.
    pub fn rests(&mut self, tid: u32) {
        self.given.remove(&tid);
    }

    /// The socket is gone, and its handle with it.
    pub fn gone(&mut self, socket: SocketId) {
        self.older.retain(|_, of| *of != socket);
        if let Some(handle) = self.of_socket.get(&socket).copied() {
            self.forget(handle);
        }
    }

    /// The thread's, and the whole process's where it is over.
    pub fn exited(&mut self, tid: u32, process: Option<u32>) {
        self.connecting.remove(&tid);
        self.given.remove(&tid);
        if let Some(pid) = process {
            self.executed(pid);
        }
    }

    /// What lay in its memory is gone.
    pub fn executed(&mut self, pid: u32) {
        self.handles.retain(|key, _| key.pid != pid);
        self.wraps.retain(|key, _| key.pid != pid);
        self.of_socket.retain(|_, key| key.pid != pid);
        self.older.retain(|key, _| key.pid != pid);
        self.given.retain(|_, given| given.is_none_or(|(key, _)| key.pid != pid));
    }

    /// Of all that is held.
    pub fn stacks(&mut self) -> impl Iterator<Item = &mut StackId> {
        let made = self.handles.values_mut().filter_map(|handle| handle.made.as_mut());
        let given = self.given.values_mut().flatten().map(|(_, by)| by);
        made.chain(given).map(|(_, _, stack)| stack)
    }

    fn forget(&mut self, handle: Key) {
        let Some(Handle { wrap, socket, made: _ }) = self.handles.remove(&handle) else { return };
        let wrap = Key { pid: handle.pid, address: wrap };
        if self.wraps.get(&wrap) == Some(&handle.address) {
            self.wraps.remove(&wrap);
        }
        if let Some(socket) = socket {
            self.of_socket.remove(&socket);
        }
    }
}

/// Something was asked for that goes over the socket.
pub fn send((at, task, stack): Asker, socket: SocketId) -> Ask {
    Ask { at, task, stack, what: Asked::Send(socket) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLE: Key = Key { pid: 7, address: 0x100 };
    const WRAP: Key = Key { pid: 7, address: 0x80 };

    fn by(at: u64, stack: u32) -> Asker {
        (Nanos(at), TaskId(0), StackId(stack))
    }

    fn opened() -> Asks {
        let mut asks = Asks::default();
        asks.made(HANDLE, WRAP.address, by(1, 1));
        asks.connects(70, HANDLE);
        assert_eq!(asks.opened(71, SocketId(4)), None, "another thread's connection");
        assert_eq!(asks.opened(70, SocketId(3)), Some(send(by(1, 1), SocketId(3))));
        asks
    }

    #[test]
    fn a_connection_is_asked_for_where_its_handle_was_made() {
        let mut asks = opened();
        assert_eq!(asks.opened(70, SocketId(4)), None, "the next one was opened without a handle");
    }

    #[test]
    fn an_open_connection_is_asked_for_again() {
        let mut asks = opened();
        assert_eq!(asks.reused(WRAP, by(5, 2)), Some(send(by(5, 2), SocketId(3))));
        assert_eq!(asks.reused(HANDLE, by(5, 2)), None, "nothing belongs to a handle");
        asks.gone(SocketId(3));
        assert_eq!(asks.reused(WRAP, by(6, 2)), None, "its socket is gone");
        assert!(asks.handles.is_empty() && asks.wraps.is_empty() && asks.of_socket.is_empty());
    }

    /// The probes came after the connection: its first request is nobody's, the next ones are known by what they send.
    #[test]
    fn a_connection_that_was_open_before() {
        let mut asks = Asks::default();
        assert_eq!(asks.reused(WRAP, by(5, 2)), None);
        assert_eq!(asks.reused_unknown(70, WRAP, by(5, 2)), None);
        assert_eq!(asks.sent(71, SocketId(9)), None, "another thread's");
        assert_eq!(asks.sent(70, SocketId(3)), Some(send(by(5, 2), SocketId(3))));
        assert_eq!(asks.sent(70, SocketId(3)), None, "more of the same request");
        assert_eq!(asks.reused_unknown(70, WRAP, by(8, 4)), Some(send(by(8, 4), SocketId(3))));
        let other = Key { pid: 7, address: 0x90 };
        assert_eq!(asks.reused_unknown(70, other, by(9, 5)), None);
        assert_eq!(asks.sent(70, SocketId(3)), None, "that connection is another one's");
        asks.gone(SocketId(3));
        assert_eq!(asks.reused_unknown(70, WRAP, by(10, 2)), None, "its socket is gone");
        asks.exited(70, Some(7));
        assert!(asks.older.is_empty() && asks.given.is_empty());
    }

    #[test]
    fn connections_whose_requests_cannot_be_told_apart() {
        let mut asks = opened();
        let other = Key { pid: 7, address: 0x90 };
        let third = Key { pid: 7, address: 0xa0 };
        asks.reused_unknown(70, other, by(5, 2));
        assert_eq!(asks.sent(70, SocketId(3)), None, "known: no older one");
        asks.reused_unknown(70, third, by(6, 3));
        assert_eq!(asks.sent(70, SocketId(4)), None, "two were given at one time");
        asks.reused_unknown(70, Key { pid: 7, address: 0xb0 }, by(6, 4));
        assert_eq!(asks.sent(70, SocketId(5)), None, "nor of one more in the same turn");
        asks.rests(70);
        asks.reused_unknown(70, other, by(7, 2));
        asks.rests(70);
        assert_eq!(asks.sent(70, SocketId(4)), None, "another turn of the loop");
        asks.reused_unknown(70, other, by(8, 2));
        assert_eq!(asks.sent(70, SocketId(4)), Some(send(by(8, 2), SocketId(4))));
    }

    #[test]
    fn addresses_are_used_again() {
        let mut asks = opened();
        asks.made(HANDLE, 0, by(9, 9));
        assert_eq!(asks.reused(WRAP, by(10, 2)), None, "the handle is another one's now");
        asks.gone(SocketId(3));
        asks.connects(70, HANDLE);
        assert_eq!(asks.opened(70, SocketId(5)), Some(send(by(9, 9), SocketId(5))));
        let other = Key { pid: 8, ..HANDLE };
        asks.made(other, 0, by(11, 3));
        asks.exited(70, Some(7));
        assert_eq!(asks.handles.keys().collect::<Vec<_>>(), [&other]);
    }
}
