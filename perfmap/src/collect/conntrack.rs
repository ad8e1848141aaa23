//! The kernel's connection tracking → the TCP connections whose addresses it rewrites (published ports, masquerading). By
//! netlink, or where that is not there from /proc. A process's table is that of its network namespace: a thread of its own
//! enters it, asks and ends.

use std::{fs::File, net::IpAddr, os::fd::AsRawFd, thread};

use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::{
        socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt},
        time::{TimeVal, TimeValLike},
    },
};

use super::{process, surroundings};
use crate::{
    recording::{Address, Ends, Translation},
    target::capabilities::raised,
};

/// Most rewritten connections of one table that are kept.
const KEPT: usize = 65_536;
/// Most bytes of a table: a million connections.
const TABLE_BYTES: usize = 256 << 20;
const PROC_BYTES: u64 = 64 << 20;
/// The kernel fills what it is given, up to this.
const BLOCK: usize = 32 << 10;
const TCP: u8 = 6;

// include/uapi/linux/netlink.h, nfnetlink.h, nfnetlink_conntrack.h
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;
const ERROR: u16 = 0x2;
const DONE: u16 = 0x3;
const CONNTRACK_GET: u16 = 0x101;
const HEADER: usize = 16;
/// struct nfgenmsg: family, version, resource.
const GENERIC: usize = 4;
const TYPE: u16 = 0x3fff;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;

/// One direction of a connection: from whom to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    from: Address,
    to: Address,
}

/// Those of a process's network namespace; none where it cannot be asked. `network`: the namespace's number.
pub fn translations(pid: u32, network: u32) -> Vec<Translation> {
    let asked = File::open(format!("/proc/{pid}/ns/net")).ok().and_then(|namespace| {
        // Our own needs no entering, for which CAP_SYS_ADMIN is asked. The thread has what is in effect here.
        let own = surroundings::read(std::process::id()).namespaces.network == network;
        let ask = move || {
            if !own {
                setns(namespace, CloneFlags::CLONE_NEWNET)?;
            }
            dump()
        };
        raised(|| thread::Builder::new().name("conntrack".into()).spawn(ask)).ok()?.join().ok()?.ok()
    });
    let ways = asked.unwrap_or_else(|| {
        let text = process::bytes(pid, "net/nf_conntrack", PROC_BYTES);
        String::from_utf8_lossy(&text).lines().filter_map(line).collect()
    });
    ways.into_iter().filter_map(|ways| translation(ways, network)).take(KEPT).collect()
}

/// None: its addresses are the same both ways.
fn translation([there, back]: [Way; 2], network: u32) -> Option<Translation> {
    let client = Ends { local: there.from, remote: there.to };
    let server = Ends { local: back.from, remote: back.to };
    let same = server.local == client.remote && server.remote == client.local;
    (!same).then_some(Translation { network, client, server })
}

/// The table of the namespace that this thread is in.
fn dump() -> Result<Vec<[Way; 2]>, Errno> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
    // It answers at once, or it never does.
    setsockopt(&netlink, sockopt::ReceiveTimeout, &TimeVal::milliseconds(500))?;
    let mut request = Vec::with_capacity(HEADER + GENERIC);
    request.extend_from_slice(&((HEADER + GENERIC) as u32).to_ne_bytes());
    request.extend_from_slice(&CONNTRACK_GET.to_ne_bytes());
    request.extend_from_slice(&(REQUEST | DUMP).to_ne_bytes());
    // Sequence and port: nobody else uses this socket. Any family, version 0.
    request.extend_from_slice(&[0; 8 + GENERIC]);
    send(netlink.as_raw_fd(), &request, MsgFlags::empty())?;
    let (mut found, mut bytes, mut block) = (Vec::new(), 0, vec![0; BLOCK]);
    while bytes < TABLE_BYTES && found.len() < KEPT * 16 {
        let length = recv(netlink.as_raw_fd(), &mut block, MsgFlags::empty())?;
        bytes += length;
        if length == 0 || !messages(block.get(..length).unwrap_or_default(), &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// False: it was the last one.
fn messages(mut block: &[u8], found: &mut Vec<[Way; 2]>) -> Result<bool, Errno> {
    while let Some(header) = block.first_chunk::<HEADER>() {
        let [a, b, c, d, e, f, ..] = *header;
        let (length, kind) = (u32::from_ne_bytes([a, b, c, d]) as usize, u16::from_ne_bytes([e, f]));
        let Some(body) = block.get(HEADER..length) else { return Ok(false) };
        match kind {
            DONE => return Ok(false),
            ERROR => {
                let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                return if code == 0 { Ok(false) } else { Err(Errno::from_raw(code.saturating_neg())) };
            }
            _ => found.extend(body.get(GENERIC..).and_then(connection)),
        }
        block = block.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn connection(attributes: &[u8]) -> Option<[Way; 2]> {
    Some([way(attribute(attributes, TUPLE_ORIGINAL)?)?, way(attribute(attributes, TUPLE_REPLY)?)?])
}

fn way(tuple: &[u8]) -> Option<Way> {
    let (ip, protocol) = (attribute(tuple, TUPLE_IP)?, attribute(tuple, TUPLE_PROTOCOL)?);
    if attribute(protocol, 1)?.first() != Some(&TCP) {
        return None;
    }
    let port = |which| Some(u16::from_be_bytes(*attribute(protocol, which)?.first_chunk()?));
    let address = |v4: u16, v6: u16| match (attribute(ip, v4), attribute(ip, v6)) {
        (Some(bytes), _) => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        (None, Some(bytes)) => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        (None, None) => None,
    };
    Some(Way { from: end(address(1, 3)?, port(2)?), to: end(address(2, 4)?, port(3)?) })
}

/// The payload of the first attribute of a type.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [a, b, c, d] = *attributes.first_chunk()?;
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]) & TYPE);
        let payload = attributes.get(4..length)?;
        if kind == wanted {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// `ipv4 2 tcp 6 86 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… [ASSURED] …`
fn line(text: &str) -> Option<[Way; 2]> {
    let mut words = text.split_ascii_whitespace();
    words.nth(2).filter(|protocol| *protocol == "tcp")?;
    let mut way = || {
        let mut value = |key: &str| words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let (from, to) = (value("src")?.parse().ok()?, value("dst")?.parse().ok()?);
        let (from_port, to_port) = (value("sport")?.parse().ok()?, value("dport")?.parse().ok()?);
        Some(Way { from: end(from, from_port), to: end(to, to_port) })
    };
    Some([way()?, way()?])
}

fn end(ip: IpAddr, port: u16) -> Address {
    let ip = match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    Address { ip, port }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, port: u16) -> Address {
        end(text.parse().expect("an address"), port)
    }

    fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
        let payload = parts.concat();
        let mut made = ((payload.len() + 4) as u16).to_ne_bytes().to_vec();
        made.extend(kind.to_ne_bytes());
        made.extend(payload);
        made.resize(made.len().next_multiple_of(4), 0);
        made
    }

    fn tuple(kind: u16, from: [u8; 4], to: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        // As the kernel marks attributes that hold others.
        let ip = nested(0x8001, &[nested(1, &[from.to_vec()]), nested(2, &[to.to_vec()])]);
        let port = |which, port: u16| nested(which, &[port.to_be_bytes().to_vec()]);
        let protocol = nested(0x8002, &[nested(1, &[vec![TCP]]), port(2, ports[0]), port(3, ports[1])]);
        nested(0x8000 | kind, &[ip, protocol])
    }

    fn published() -> Translation {
        Translation {
            network: 7,
            client: Ends { local: at("10.0.0.1", 40000), remote: at("10.0.0.1", 8080) },
            server: Ends { local: at("172.17.0.2", 80), remote: at("172.17.0.1", 40000) },
        }
    }

    #[test]
    fn a_published_port_in_the_kernels_words() {
        let there = tuple(TUPLE_ORIGINAL, [10, 0, 0, 1], [10, 0, 0, 1], [40000, 8080]);
        let back = tuple(TUPLE_REPLY, [172, 17, 0, 2], [172, 17, 0, 1], [80, 40000]);
        let body = [vec![2, 0, 0, 0], nested(3, &[vec![0; 4]]), there, back].concat();
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(0x100_u16.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        let mut done = (HEADER as u32).to_ne_bytes().to_vec();
        done.extend(DONE.to_ne_bytes());
        done.resize(HEADER, 0);
        let mut found = Vec::new();
        assert_eq!(messages(&[message.clone(), message.clone()].concat(), &mut found), Ok(true));
        assert_eq!(messages(&done, &mut found), Ok(false));
        let translations: Vec<_> = found.into_iter().filter_map(|ways| translation(ways, 7)).collect();
        assert_eq!(translations, [published(), published()]);
        let mut refused = done;
        refused[4] = ERROR as u8;
        refused.extend((-(Errno::EPERM as i32)).to_ne_bytes());
        refused[0] += 4;
        assert_eq!(messages(&refused, &mut Vec::new()), Err(Errno::EPERM));
    }

    #[test]
    fn the_same_in_proc() {
        let text = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.1 sport=40000 dport=8080 \
                    src=172.17.0.2 dst=172.17.0.1 sport=80 dport=40000 [ASSURED] mark=0 zone=0 use=2";
        assert_eq!(line(text).and_then(|ways| translation(ways, 7)), Some(published()));
        let plain = text
            .replace("172.17.0.2", "10.0.0.1")
            .replace("172.17.0.1", "10.0.0.1")
            .replace("sport=80 ", "sport=8080 ");
        assert_eq!(line(&plain).map(|ways| translation(ways, 7)), Some(None), "not rewritten");
        assert_eq!(line("ipv4 2 udp 17 29 src=1.1.1.1 dst=1.1.1.1 sport=1 dport=1"), None);
    }

    #[test]
    fn our_own_table_can_be_asked() {
        if nix::unistd::geteuid().is_root() {
            let _ = translations(std::process::id(), 1);
        }
        assert!(translations(u32::MAX, 1).is_empty());
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,120}") {
            let _ = messages(&bytes, &mut Vec::new());
            let _ = connection(&bytes);
            let _ = line(&text);
        }
    }
}
