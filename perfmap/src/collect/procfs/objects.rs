//! A system call's descriptor → what it is: the link in /proc/PID/fd, and for a socket its addresses in the tables of
//! its network namespace. Each socket is looked up until its addresses are known, a few times at most.

use std::{collections::HashMap, path::Path};

use perfmap_common as wire;

use super::look::{Entered, memory};
use crate::collect::{
    process,
    to_wire::{Called, Who, header},
};

/// Most bytes of one table of sockets: some 20,000 connections.
const TABLE_BYTES: u64 = 3 << 20;
/// A socket that is connected only later is looked up again.
const TRIES: u32 = 4;
const MOST_SOCKETS: usize = 65_536;

#[derive(Debug, Default)]
pub struct Objects {
    /// By inode: how often it was looked up, and whether that is over.
    sockets: HashMap<u64, (u32, bool)>,
}

/// The call, and the socket that it is on where that is told for the first time.
pub fn called(objects: &mut Objects, who: Who, entered: Entered, result: i64) -> (Called, Option<wire::SocketSeen>) {
    let Entered { number, arguments } = entered;
    let none = Called { number, arguments, object: wire::Object::None, identity: 0, result };
    let Some(descriptor) = descriptor(who.pid, entered) else { return (none, None) };
    let link = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", who.pid));
    let Some(link) = link.ok() else { return (none, None) };
    let (object, identity) = kind(&link, who.pid, descriptor);
    let seen = match object {
        wire::Object::Socket => objects.socket(who, identity),
        wire::Object::None
        | wire::Object::Pipe
        | wire::Object::File
        | wire::Object::Anonymous
        | wire::Object::Other => None,
    };
    (Called { object, identity, ..none }, seen)
}

fn kind(link: &Path, pid: u32, descriptor: u32) -> (wire::Object, u64) {
    let text = link.to_string_lossy();
    let inode = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(']')?.parse::<u64>().ok();
    if let Some(inode) = inode("socket:[") {
        return (wire::Object::Socket, inode);
    }
    if let Some(inode) = inode("pipe:[") {
        return (wire::Object::Pipe, inode);
    }
    match text.starts_with("anon_inode:") {
        true => (wire::Object::Anonymous, u64::from(pid) << 32 | u64::from(descriptor)),
        false => (wire::Object::File, 0),
    }
}

/// The descriptor that the call waits for; of a poll for one, that one.
fn descriptor(pid: u32, entered: Entered) -> Option<u32> {
    let [first, second, _] = entered.arguments;
    match entered.number {
        // read write pread pwrite readv writev ioctl, sockets' calls, fcntl flock fsync fdatasync, splice …
        0
        | 1
        | 16..=20
        | 42..=47
        | 72..=75
        | 217
        | 232
        | 275
        | 277
        | 281
        | 288
        | 295
        | 296
        | 299
        | 307
        | 327
        | 328
        | 441 => u32::try_from(first).ok().filter(|descriptor| *descriptor <= i32::MAX as u32),
        40 => u32::try_from(first).ok(),
        7 | 271 if second == 1 => {
            let bytes = memory(pid, first, 8);
            u32::try_from(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()
        }
        _ => None,
    }
}

impl Objects {
    fn socket(&mut self, who: Who, inode: u64) -> Option<wire::SocketSeen> {
        if self.sockets.len() >= MOST_SOCKETS && !self.sockets.contains_key(&inode) {
            return None;
        }
        let (tries, known) = self.sockets.entry(inode).or_default();
        if *known || *tries >= TRIES {
            return None;
        }
        *tries += 1;
        let netns = network_namespace(who.pid);
        // The first table that has it.
        let tables = [("tcp", 2, 1), ("tcp6", 10, 1), ("udp", 2, 2), ("udp6", 10, 2)];
        let row = tables.into_iter().find_map(|(table, family, kind)| {
            let text = process::bytes(who.pid, &format!("net/{table}"), TABLE_BYTES);
            Some((find(&text, inode)?, family, kind))
        });
        let (row, family, kind) = row.unwrap_or((Row::default(), 1, 1));
        *known = family == 1 || row.remote.1 != 0 || row.state == LISTEN;
        Some(wire::SocketSeen {
            header: header(wire::Kind::SocketSeen, who),
            socket: inode,
            kernel: inode,
            peer: 0,
            netns,
            family,
            kind,
            local_port: row.local.1,
            remote_port: row.remote.1,
            state: row.state,
            protocol: 0,
            local_ip: row.local.0,
            remote_ip: row.remote.0,
        })
    }
}

const LISTEN: u16 = 10;

/// 0: it cannot be told.
pub fn network_namespace(pid: u32) -> u32 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
    let text = link.to_string_lossy();
    text.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok()).unwrap_or(0)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    local: ([u8; 16], u16),
    remote: ([u8; 16], u16),
    state: u16,
}

fn find(table: &[u8], inode: u64) -> Option<Row> {
    table.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.split_ascii_whitespace();
        let (local, remote, state) = (words.nth(1)?, words.next()?, words.next()?);
        // tx:rx, timer, retransmissions, user, timeout, inode
        if words.nth(5)?.parse::<u64>().ok()? != inode {
            return None;
        }
        Some(Row { local: end(local)?, remote: end(remote)?, state: u16::from_str_radix(state, 16).ok()? })
    })
}

/// `0100007F:1F90`: words of the machine's byte order, as IPv6 or mapped into it.
fn end(text: &str) -> Option<([u8; 16], u16)> {
    let (address, port) = text.split_once(':')?;
    if !address.is_ascii() {
        return None;
    }
    let mut ip = [0; 16];
    let words = match address.len() {
        8 => {
            ip[10..12].copy_from_slice(&[0xff, 0xff]);
            3..4
        }
        32 => 0..4,
        _ => return None,
    };
    for (word, digits) in words.zip(0..) {
        let value = u32::from_str_radix(address.get(digits * 8..digits * 8 + 8)?, 16).ok()?;
        ip[word * 4..word * 4 + 4].copy_from_slice(&value.to_ne_bytes());
    }
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_connection_of_ours_has_its_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let stream = TcpStream::connect(listener.local_addr().expect("address")).expect("connected");
        let pid = std::process::id();
        let entered = Entered { number: 45, arguments: [stream.as_raw_fd() as u64, 0, 0] };
        let mut objects = Objects::default();
        let who = Who { pid, tid: pid, at: 1 };
        let (call, seen) = called(&mut objects, who, entered, 0);
        let seen = seen.expect("told once");
        assert_eq!((call.object as u32, call.identity), (wire::Object::Socket as u32, seen.kernel));
        assert_eq!(seen.local_port, stream.local_addr().expect("address").port());
        assert_eq!(seen.remote_port, listener.local_addr().expect("address").port());
        assert_eq!(seen.local_ip, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
        assert!(called(&mut objects, who, entered, 0).1.is_none());
    }

    #[test]
    fn lines_that_are_none() {
        let table = b"  sl  local_address rem_address st\n junk\n 0: 0100007F:1F90 xyz 0A 0:0 0:0 0 0 0 77 1\n";
        assert_eq!(find(table, 77), None);
        assert_eq!(end("0100007F:1F90").map(|(_, port)| port), Some(8080));
        for wrong in ["", "1:2", "0100007G:1F90", "0100007F", "äöüäöü12:0"] {
            assert_eq!(end(wrong), None, "{wrong}");
        }
    }
}
