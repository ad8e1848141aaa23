//! What the kernel's socket statistics told of TCP connections, where no message was seen: sums by far end, each at least
//! what there was.

use serde::{Deserialize, Serialize};

use super::Address;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarEnd {
    /// To where the command's processes opened connections.
    pub remote: Address,
    /// It is on this host.
    pub is_local: bool,
    pub connections: u64,
    /// Bytes one way and then the other.
    pub exchanges: u64,
    /// Bytes of the programs' own.
    pub sent: u64,
    pub received: u64,
}
