//! /proc → the TCP ports that a process listens on, and the far ends of connections that it opened before we came.
//!
//! A connection whose local port nobody in its network namespace listens on was opened from here. Unix connections are
//! not listed with their other end; they show at their next transfer.

use std::collections::{BTreeMap, BTreeSet};

use perfmap_common as wire;

use super::process;

/// Most bytes of one table: some 200,000 connections.
const TABLE_BYTES: u64 = 32 << 20;
/// Most descriptors of one process that are looked at.
const DESCRIPTORS: usize = 65_536;

/// One row of /proc/PID/net/tcp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    local: ([u8; 16], u16),
    remote: ([u8; 16], u16),
    state: u8,
    inode: u64,
}

const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeMap<u64, Row>,
    listened: BTreeSet<u16>,
}

/// What one process has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Connections {
    pub ports: Vec<u16>,
    pub far_ends: Vec<wire::FarEnd>,
}

/// Reads each network namespace's table once, for processes that are looked at together.
#[derive(Debug, Default)]
pub struct Reader {
    tables: BTreeMap<String, Table>,
}

impl Reader {
    pub fn read(&mut self, pid: u32) -> Connections {
        let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/net")) else { return Connections::default() };
        let table = self.tables.entry(namespace.to_string_lossy().into_owned()).or_insert_with(|| {
            table(&[process::bytes(pid, "net/tcp", TABLE_BYTES), process::bytes(pid, "net/tcp6", TABLE_BYTES)])
        });
        connections(table, &inodes(pid))
    }
}

fn connections(table: &Table, inodes: &[u64]) -> Connections {
    let mut found = Connections::default();
    for row in inodes.iter().filter_map(|inode| table.rows.get(inode)) {
        if row.state == LISTEN {
            found.ports.push(row.local.1);
        } else if row.state == ESTABLISHED && !table.listened.contains(&row.local.1) {
            found.far_ends.push(wire::FarEnd {
                local_ip: row.remote.0,
                remote_ip: row.local.0,
                socket: 0,
                local_port: row.remote.1,
                remote_port: row.local.1,
                reserved: 0,
            });
        }
    }
    found.ports.sort_unstable();
    found.ports.dedup();
    found
}

fn table(texts: &[Vec<u8>]) -> Table {
    let mut table = Table::default();
    for row in texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n')).filter_map(row) {
        if row.state == LISTEN {
            table.listened.insert(row.local.1);
        }
        if row.inode != 0 {
            table.rows.insert(row.inode, row);
        }
    }
    table
}

/// Inodes of the sockets that a process holds.
fn inodes(pid: u32) -> Vec<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(DESCRIPTORS);
    entries
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

fn row(line: &[u8]) -> Option<Row> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let (local, remote) = (end(fields.nth(1)?)?, end(fields.next()?)?);
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Row { local, remote, state, inode })
}

/// `0100007F:1F90`, or the same with 32 digits: words in the machine's order.
fn end(text: &str) -> Option<([u8; 16], u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let mut ip = [0; 16];
    match address.len() {
        8 => {
            ip[10] = 0xff;
            ip[11] = 0xff;
            ip[12..].copy_from_slice(&word(0)?);
        }
        32 => {
            for (part, at) in ip.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
        }
        _ => return None,
    }
    Some((ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    fn v4(address: SocketAddr) -> ([u8; 16], u16) {
        match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped().octets(), v4.port()),
            SocketAddr::V6(v6) => (v6.ip().octets(), v6.port()),
        }
    }

    #[test]
    fn finds_what_this_process_opened_and_listens_on() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let _server = listener.accept().expect("accepts");
        let found = Reader::default().read(std::process::id());
        assert!(found.ports.contains(&port), "{:?}", found.ports);
        let (own, far) = (v4(client.local_addr().expect("local")), v4(client.peer_addr().expect("remote")));
        let mine =
            |end: &&wire::FarEnd| (end.local_ip, end.local_port) == far && (end.remote_ip, end.remote_port) == own;
        assert_eq!(found.far_ends.iter().filter(mine).count(), 1);
        // The accepted end is nobody's client.
        assert!(!found.far_ends.iter().any(|end| end.local_port == own.1));
    }

    #[test]
    fn wide_addresses_are_read_word_by_word() {
        let loopback = end("00000000000000000000000001000000:0050").expect("an address");
        assert_eq!(loopback, (std::net::Ipv6Addr::LOCALHOST.octets(), 80));
        assert_eq!(end("0100007F:1F90").expect("an address").1, 8080);
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(text in proptest::collection::vec(any::<u8>(), 0..400), end in ".{0,40}") {
            let _ = table(&[text]);
            let _ = super::end(&end);
        }
    }
}
