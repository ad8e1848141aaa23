//! Sockets, their states, transfers and sums.

use crate::{Header, StackHead};

/// A socket at its first transfer.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct SocketSeen {
    pub header: Header,
    /// The kernel's cookie: never used again while the machine is up.
    pub socket: u64,
    /// Kernel address of this end; used again after close.
    pub kernel: u64,
    /// Unix sockets: kernel address of the other end.
    pub peer: u64,
    pub netns: u32,
    pub family: u16,
    pub kind: u16,
    pub local_port: u16,
    pub remote_port: u16,
    pub state: u16,
    pub protocol: u16,
    pub local_ip: [u8; 16],
    pub remote_ip: [u8; 16],
}

/// A TCP state change; the header's task is the running one, which need not own the socket.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct SocketState {
    pub seen: SocketSeen,
    pub from: u32,
    pub to: u32,
}

/// A transfer on a socket: header, fields, the stack's variable parts, then `captured` payload bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Message {
    pub header: Header,
    pub socket: u64,
    pub bytes: u64,
    /// Transfers and bytes of this socket and direction since the last record that were not recorded one by one.
    pub skipped_messages: u64,
    pub skipped_bytes: u64,
    pub syscall: u32,
    pub descriptor: i32,
    pub captured: u32,
    /// `MESSAGE_*` bits.
    pub flags: u32,
    pub stack: StackHead,
}
pub const MESSAGE_SENT: u32 = 1;
/// The socket is judged to carry no known protocol; only sums follow.
pub const MESSAGE_OPAQUE: u32 = 2;
/// A stack was taken.
pub const MESSAGE_STACK: u32 = 4;
/// The socket's last sums (`bytes` is 0): it was closed.
pub const MESSAGE_CLOSED: u32 = 8;
/// The payload is pieces of the transfer: each is its offset (u32) and length (u32), then its bytes.
pub const MESSAGE_PIECES: u32 = 16;

/// What a socket carries; values of the `verdicts` map, by which user space tells the kernel side (key: cookie).
pub const PROTOCOL_HTTP1: u32 = 1;
pub const PROTOCOL_TLS: u32 = 2;
pub const PROTOCOL_OPAQUE: u32 = 3;
/// Framed: databases, caches, HTTP/2, DNS.
pub const PROTOCOL_CALLS: u32 = 4;
/// All frames' headers, wherever they lie in a transfer, but no bodies.
pub const PROTOCOL_HTTP2: u32 = 5;

/// Value of the `sockets` map, key cookie: what is known of one socket in the kernel. Read by user space at the end,
/// for the sums of sockets that were never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct SocketSums {
    /// Received, then sent: transfers and bytes that no `Message` has carried yet.
    pub skipped_messages: [u64; 2],
    pub skipped_bytes: [u64; 2],
    pub messages: u32,
    /// `PROTOCOL_*`; 0: undecided.
    pub protocol: u32,
    /// Direction of the last transfer plus 1; 0: none yet.
    pub last: u32,
    pub pid: u32,
    pub tid: u32,
    /// Of these every so-manieth has its stack taken.
    pub turns: u32,
    /// HTTP/2, received and sent: bytes of the current frame's payload that are to come, and whether they are taken.
    pub frame_left: [u32; 2],
    pub frame_taken: [u32; 2],
}
