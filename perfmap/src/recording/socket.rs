//! Socket ends of the traced tasks. Two ends of one connection are two `Socket`s; `correlate::flows` pairs them.

use serde::{Deserialize, Serialize};

use super::{Nanos, ProcessId};

/// Index into `Recording::sockets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SocketId(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    Ipv4,
    Ipv6,
    Unix,
    Other(u16),
}

/// All addresses have 16 bytes; IPv4 is written as ::ffff:a.b.c.d, so that a v4 client matches the AF_INET6 end of a
/// dual-stack server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    pub ip: [u8; 16],
    pub port: u16,
}

/// The two addresses of a connection as one of its ends has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ends {
    pub local: Address,
    pub remote: Address,
}

/// A TCP connection whose addresses the kernel rewrites on the way (NAT), as its connection tracking had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Translation {
    /// The network namespace that does it (inode number).
    pub network: u32,
    pub client: Ends,
    pub server: Ends,
}

/// Who opened the connection, as far as this end was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// connect() was seen.
    Client,
    /// accept() was seen, or the local port is one that this process listens on.
    Server,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    pub family: Family,
    /// SOCK_STREAM 1, SOCK_DGRAM 2, …
    pub kind: u16,
    /// The kernel's address of the socket: identity of Unix sockets' ends, reused after close.
    pub kernel: u64,
    /// For Unix sockets the kernel address of the other end, 0 where unknown.
    pub peer_kernel: u64,
    /// The network namespace that it belongs to (inode number): loopback addresses mean something in it alone. 0 where
    /// unknown.
    pub network: u32,
    pub local: Option<Address>,
    pub remote: Option<Address>,
    pub role: Role,
    /// Who used it first.
    pub process: ProcessId,
    pub first_seen: Nanos,
    pub states: Vec<StateChange>,
    pub closed: Option<Nanos>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sent_messages: u64,
    pub received_messages: u64,
}

impl Socket {
    /// One of which nothing is known but who used it first.
    pub fn unknown(process: ProcessId) -> Self {
        Self {
            family: Family::Other(0),
            kind: 0,
            kernel: 0,
            peer_kernel: 0,
            network: 0,
            local: None,
            remote: None,
            role: Role::Unknown,
            process,
            first_seen: Nanos::ZERO,
            states: Vec::new(),
            closed: None,
            sent_bytes: 0,
            received_bytes: 0,
            sent_messages: 0,
            received_messages: 0,
        }
    }
}

/// A TCP state change of this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    pub at: Nanos,
    pub from: TcpState,
    pub to: TcpState,
}

/// The kernel's TCP states (include/net/tcp_states.h), as far as they matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    Close,
    Listen,
    Closing,
}
