//! Sums of file I/O.

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
    /// 0 read, 1 write.
    pub operation: u32,
    /// 1: this record carries the site's stack.
    pub has_stack: u32,
    pub stack: StackHead,
}
