//! One question to the kernel's socket statistics (netlink, `SOCK_DIAG_BY_FAMILY`) → every TCP connection of the own network
//! namespace with how much it has moved. Needs no privilege. Whose they are it does not know.
//!
//! Of `tcp_info` only fields that no segment without data changes are read: `bytes_acked` counts the SYN, and
//! `bytes_received` the FIN, which the state tells; `bytes_sent` counts what was sent again, and so does `bytes_retrans`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt},
    time::TimeVal,
};

use super::turns::Moved;

const BY_FAMILY: u16 = 20;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const REQUEST_DUMP: u16 = 0x301;
const TCP: u8 = 6;
/// `INET_DIAG_INFO`, as an attribute's number and as the bit that asks for it.
const INFO: u16 = 2;
const ASK_INFO: u8 = 1 << (INFO - 1);

const ESTABLISHED: u8 = 1;
const FIN_WAIT_1: u8 = 4;
const FIN_WAIT_2: u8 = 5;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const LISTEN: u8 = 10;
const CLOSING: u8 = 11;

/// Lengths of the kernel's structures.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
const REQUEST: usize = HEADER + 56;
/// Where `tcp_info` has them (from Linux 4.19 on all three).
const BYTES_RECEIVED: usize = 128;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;

/// Most sockets of one answer.
const MOST: usize = 65_536;
const BUFFER: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The kernel's own number of the socket, never given twice.
    pub cookie: u64,
    /// 0: no process has it (not yet accepted, or closed).
    pub inode: u32,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub moved: Moved,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub connections: Vec<Connection>,
    /// Ports that somebody listens at.
    pub listening: Vec<u16>,
}

pub struct Diag(OwnedFd);

impl Diag {
    pub fn open() -> io::Result<Diag> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
        // A kernel that does not answer must not hold the run.
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(0, 200_000))?;
        Ok(Diag(fd))
    }

    /// Of IPv4 and IPv6.
    pub fn ask(&self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            send(self.0.as_raw_fd(), &request(family), MsgFlags::empty())?;
            let mut buffer = vec![0; BUFFER];
            loop {
                let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
                match read(buffer.get(..length).unwrap_or_default(), &mut answer) {
                    Read::More if length > 0 => {}
                    Read::More | Read::Done => break,
                    // A kernel without IPv6 has nothing to say of it.
                    Read::Refused(code) if family == libc::AF_INET as u8 => {
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    Read::Refused(_) => break,
                }
            }
        }
        Ok(answer)
    }
}

fn request(family: u8) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    let states: u32 = [ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING]
        .iter()
        .map(|state| 1 << state)
        .sum();
    request[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[HEADER..HEADER + 3].copy_from_slice(&[family, TCP, ASK_INFO]);
    request[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    request
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    More,
    Done,
    Refused(i32),
}

/// Total on any bytes.
fn read(mut bytes: &[u8], answer: &mut Answer) -> Read {
    while let (Some(length), Some(kind)) = (u32_at(bytes, 0), u16_at(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        match kind {
            DONE => return Read::Done,
            ERROR => return Read::Refused(u32_at(body, 0).map_or(libc::EPROTO, |code| (code as i32).saturating_neg())),
            BY_FAMILY if answer.connections.len() < MOST => socket_of(body, answer),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Read::More
}

fn socket_of(body: &[u8], answer: &mut Answer) {
    let Some((head, attributes)) = body.split_at_checked(MESSAGE) else { return };
    let [family, state, ..] = *head else { return };
    let end = |port: usize, address: usize| -> Option<SocketAddr> {
        let port = u16::from_be_bytes(head.get(port..port + 2)?.try_into().ok()?);
        let ip: IpAddr = match i32::from(family) {
            libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(head.get(address..address + 4)?).ok()?).into(),
            libc::AF_INET6 => {
                Ipv6Addr::from(<[u8; 16]>::try_from(head.get(address..address + 16)?).ok()?).to_canonical()
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    };
    let (Some(local), Some(remote)) = (end(4, 8), end(6, 24)) else { return };
    if state == LISTEN {
        answer.listening.push(local.port());
        return;
    }
    let (Some(low), Some(high), Some(inode)) = (u32_at(head, 44), u32_at(head, 48), u32_at(head, 68)) else { return };
    let Some(moved) = information(attributes).and_then(|info| moved(info, state)) else { return };
    let cookie = u64::from(high) << 32 | u64::from(low);
    answer.connections.push(Connection { cookie, inode, local, remote, moved });
}

fn information(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..length)?;
        if u16_at(attributes, 2)? == INFO {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn moved(info: &[u8], state: u8) -> Option<Moved> {
    let ended = matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING);
    let received = u64_at(info, BYTES_RECEIVED)?.saturating_sub(u64::from(ended));
    let sent = u64_at(info, BYTES_SENT)?.saturating_sub(u64_at(info, BYTES_RETRANS)?);
    Some(Moved { sent, received })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    /// Bytes of the program's own are counted, not SYN and FIN.
    #[test]
    fn a_connection_of_ours_has_moved_what_it_moved() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let mut asks = TcpStream::connect(listener.local_addr().expect("address")).expect("connected");
        let (mut answers, _) = listener.accept().expect("accepted");
        let diag = Diag::open().expect("opened");
        let find = |local: SocketAddr, remote: SocketAddr| {
            let answer = diag.ask().expect("answered");
            assert!(answer.listening.contains(&listener.local_addr().expect("address").port()));
            answer.connections.into_iter().find(|one| one.local == local && one.remote == remote)
        };
        let (local, remote) = (asks.local_addr().expect("address"), asks.peer_addr().expect("address"));
        let before = find(local, remote).expect("listed");
        assert_eq!(before.moved, Moved { sent: 0, received: 0 });
        assert_ne!(before.inode, 0);
        asks.write_all(b"question").expect("sent");
        answers.read_exact(&mut [0; 8]).expect("received");
        answers.write_all(b"answer").expect("sent");
        drop(answers);
        let mut answer = String::new();
        asks.read_to_string(&mut answer).expect("received to the end");
        let after = find(local, remote).expect("listed");
        assert_eq!(after.cookie, before.cookie);
        assert_eq!(after.moved, Moved { sent: 8, received: 6 });
    }

    #[test]
    fn a_refusal_is_one() {
        let mut bytes = vec![0; 20];
        bytes[0] = 20;
        bytes[4] = 2;
        bytes[16..].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert_eq!(read(&bytes, &mut Answer::default()), Read::Refused(libc::ENOENT));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400), length in 0u32..400) {
            read(&bytes, &mut Answer::default());
            let mut framed = length.to_ne_bytes().to_vec();
            framed.extend_from_slice(&[20, 0, 0, 0]);
            framed.extend_from_slice(&bytes);
            read(&framed, &mut Answer::default());
            information(&bytes);
        }
    }
}
