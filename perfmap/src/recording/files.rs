//! Files by identity, and what was opened or made and left: descriptors, files for temporary use, unread bytes.

use serde::{Deserialize, Serialize};

use super::{Nanos, ProcessId, SocketId, StackId, TaskId};

/// Index into [`Files::known`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Regular files that were read or written, as far as the table went.
    pub known: Vec<KnownFile>,
    /// What was made where temporary files lie, by who made it.
    pub made: Vec<Made>,
    /// Descriptors with high numbers, by who opened them: programs that hold few at a time have none here.
    pub descriptors: Vec<Descriptors>,
    /// By time.
    pub unread: Vec<Unread>,
}

/// A regular file, whatever names lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// As the kernel numbers it: major << 20 | minor.
    pub device: u32,
    pub inode: u64,
    /// As the program called it when it was first opened; None where that was not seen. Bounded, the target's own bytes.
    pub path: Option<String>,
    /// The largest that was seen.
    pub size: u64,
}

/// Files and directories that one call site made below a directory for temporary files. What lies in a directory that was
/// made in the run counts as this directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Of the first.
    pub task: TaskId,
    pub stack: Option<StackId>,
    pub count: u64,
    /// Of them: still there when the recording ended.
    pub left: u64,
    /// Some that are left, in order.
    pub examples: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DescriptorKind {
    File,
    Socket,
    Pipe,
    Other,
}

/// What one call site of a process opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    pub process: ProcessId,
    /// Who opened the first.
    pub task: TaskId,
    pub stack: Option<StackId>,
    pub kind: DescriptorKind,
    pub opened: u64,
    /// Open when the process, or the recording, ended.
    pub left: u64,
    /// From when to when each was open, by the end; those that were closed first are given up where there are too many.
    pub spans: Vec<(Nanos, Nanos)>,
}

/// The program closed a connection with so many bytes in it that nobody had taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    pub at: Nanos,
    pub task: TaskId,
    pub socket: SocketId,
    pub bytes: u64,
}
