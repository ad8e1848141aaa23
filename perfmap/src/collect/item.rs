//! What goes from the thread that empties the kernel's buffers to the one that makes sense of it.

use perfmap_common as wire;

use super::{mappings::Change, process::Seen, pyspy::ThreadFrames, tree::Adopted};
use crate::unwind::{Mapping, Root, go::Reasons};

/// What the first thread sends.
pub enum Item {
    /// Changes of address spaces; at least all up to the next `Events`' last time.
    Changes(Vec<Change>),
    /// Ring entries, each preceded by its length in four bytes.
    Events(Vec<u8>),
    Python {
        pid: u32,
        layout: wire::PythonLayout,
    },
    /// What an interpreter's threads ran, read from outside.
    Reading {
        at: u64,
        pid: u32,
        threads: Vec<ThreadFrames>,
    },
    /// A program of Go's whose goroutines are told from now on.
    Go {
        pid: u32,
        reasons: Reasons,
    },
    /// What /proc told about a process at its execve.
    Image {
        pid: u32,
        seen: Seen,
        /// Where it finds its files.
        root: Option<Root>,
    },
    /// What a process's command line said right after it named itself.
    Title {
        pid: u32,
        title: String,
    },
    /// A process that ran already is followed from `at` on: comes before its records.
    Adopted {
        at: u64,
        adopted: Adopted,
        /// Where it finds its files.
        root: Option<Root>,
        /// TCP ports that it listens on.
        ports: Vec<u16>,
        mappings: Vec<Mapping>,
    },
    /// Sums of sockets still open at the end.
    OpenSockets(Vec<(u64, wire::SocketSums)>),
}
