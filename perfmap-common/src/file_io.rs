//! Sums of file I/O, and what was opened, made, closed or left.

use crate::{Header, StackHead};

/// Sums of file I/O of one call site: header (`at` = last call), fields, then a stack where the site is new.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FileIo {
    pub header: Header,
    pub first: u64,
    pub bytes: u64,
    pub calls: u64,
    /// Identity of the site; its stack came with the first record of this number.
    pub site: u64,
    /// Of a regular file, else 0.
    pub inode: u64,
    /// When the sum began; of writes the largest since.
    pub size: u64,
    /// 0 read, 1 write.
    pub operation: u32,
    /// 1: this record carries the site's stack.
    pub has_stack: u32,
    pub device: u32,
    pub reserved: u32,
    pub stack: StackHead,
}

/// A file was opened that had no name yet.
pub const OPENED_NAMED: u32 = 1;
/// It was made.
pub const OPENED_CREATED: u32 = 2;
/// Its number is so high that it is watched.
pub const OPENED_WATCHED: u32 = 4;
pub const OPENED_DIRECTORY: u32 = 8;
/// This record carries the site's stack.
pub const OPENED_STACK: u32 = 16;

/// Fields, the stack where `OPENED_STACK` is set, the path.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Opened {
    pub header: Header,
    /// Of a regular file, else 0.
    pub inode: u64,
    pub size: u64,
    /// 0: not asked.
    pub site: u64,
    pub device: u32,
    pub flags: u32,
    /// -1: none.
    pub descriptor: i32,
    /// `OBJECT_…`.
    pub object: u32,
    pub path_bytes: u32,
    pub reserved: u32,
    pub stack: StackHead,
}

/// A watched descriptor was closed, or is still open when its process (or the recording) ends.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Closed {
    pub header: Header,
    /// When it was opened.
    pub since: u64,
    pub site: u64,
    pub descriptor: i32,
    pub object: u32,
    /// 1: it was not closed.
    pub left: u32,
    /// How many the site had opened by then, this one among them.
    pub opened: u32,
}

/// A connection was closed with bytes that nobody had taken.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Unread {
    pub header: Header,
    /// Its cookie.
    pub socket: u64,
    pub bytes: u64,
}
