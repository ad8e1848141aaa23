//! What is read inside the functions of TLS libraries and event loops.

use crate::{Header, StackHead};

/// What a call into a TLS library moved: header (`at` = the call's return), fields, the stack's
/// variable parts, then `captured` bytes of plaintext.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Plaintext {
    pub header: Header,
    /// Address of the library's object; used again when it was freed.
    pub connection: u64,
    /// Cookie of the last socket that the call used; 0: of none.
    pub socket: u64,
    pub bytes: u64,
    /// The call's entry.
    pub began: u64,
    pub captured: u32,
    /// `PLAINTEXT_*` bits.
    pub flags: u32,
    pub stack: StackHead,
}
pub const PLAINTEXT_SENT: u32 = 1;
/// A stack was taken.
pub const PLAINTEXT_STACK: u32 = 2;
/// rustls: `connection` is the object's beginning where it was written, a part of it where it was read.
pub const PLAINTEXT_RUSTLS: u32 = 4;

/// A probed function of a TLS library: the cookie of its probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum TlsFunction {
    SslRead = 1,
    SslWrite = 2,
    SslReadEx = 3,
    SslWriteEx = 4,
    GnutlsRecv = 5,
    GnutlsSend = 6,
    GoRead = 7,
    GoWrite = 8,
    RustlsRead = 10,
    RustlsWrite = 11,
    /// Not of TLS: `net/http.(*persistConn).roundTrip`, at whose entry the goroutine is known that makes a request.
    GoAsks = 12,
    /// `net/http.persistConnWriter.Write`: the one that writes for a connection.
    GoWrites = 13,
    /// HTTP/2's `(*ClientConn).roundTrip`: who makes a request, told by the request's address.
    GoAsksStream = 14,
    /// `(*clientStream).encodeAndWriteHeaders`: the one that writes for a request.
    GoWritesStream = 15,
    /// gRPC's `(*controlBuffer).executeAndPut`: who asks, told by the address of what is to be written.
    GoPutsHeader = 16,
}

impl TlsFunction {
    /// The cookie of the probes at its returns.
    pub const fn return_cookie(self) -> u64 {
        match self {
            Self::GoRead
            | Self::GoWrite
            | Self::GoAsks
            | Self::GoWrites
            | Self::GoAsksStream
            | Self::GoWritesStream
            | Self::GoPutsHeader => 9,
            Self::SslRead
            | Self::SslWrite
            | Self::SslReadEx
            | Self::SslWriteEx
            | Self::GnutlsRecv
            | Self::GnutlsSend
            | Self::RustlsRead
            | Self::RustlsWrite => 0,
        }
    }
}

/// Somebody asked for what an event loop does in a later turn: header, fields, then the stack's variable parts and
/// `captured` bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Ask {
    pub header: Header,
    /// Of libuv; 0: not known.
    pub handle: u64,
    /// What the handle belongs to, as the program says; 0: not known.
    pub wrap: u64,
    /// Of a timer: when it runs out, at the latest.
    pub due: u64,
    /// An [`AskFunction`].
    pub what: u32,
    pub has_stack: u32,
    /// Bytes of what `wrap` points to, behind the stack.
    pub captured: u32,
    pub reserved: u32,
    pub stack: StackHead,
}
/// Of the object that a connection belongs to: Node's has its TLS library's object within some 200 bytes.
pub const WRAP_BYTES: usize = 512;

/// A probed function in which somebody asks for something: the cookie of its probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum AskFunction {
    /// A handle for a connection is made.
    Made = 32,
    /// The connection of a handle is opened: the next one that its thread opens.
    Connects = 33,
    /// A connection that is open is given to another request.
    Reused = 34,
    /// A timer is set.
    Timer = 35,
    /// A future that ends at an instant is polled.
    Sleeps = 36,
}

impl AskFunction {
    pub fn from_u32(value: u32) -> Option<AskFunction> {
        [Self::Made, Self::Connects, Self::Reused, Self::Timer, Self::Sleeps]
            .into_iter()
            .find(|known| *known as u32 == value)
    }
}
