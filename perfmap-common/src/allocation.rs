//! What followed processes allocate, where that was asked for.

use crate::{Header, StackHead};

/// One byte in so many is drawn, on average; a block that is as large or larger is told in any case.
pub const ALLOCATION_MEAN: u64 = 128 * 1024;

/// In [`Allocation::flags`]: when it is freed will not be told.
pub const ALLOCATION_UNTRACKED: u32 = 1;

/// In a probe's cookie: the kernel asks at the entry whether the return is looked at.
pub const ALLOCATOR_SESSION: u64 = 1 << 30;
/// In a probe's cookie: it is at the return.
pub const ALLOCATOR_RETURN: u64 = 1 << 31;

/// What a function of an allocator does with which argument; the lowest byte of a probe's cookie, the function's number above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum AllocatorWay {
    /// As many bytes as the first argument says.
    First = 1,
    /// The product of the first and the second.
    Product = 2,
    Second = 3,
    /// As the third says; the address goes to where the first points.
    Into = 4,
    /// What the first points to is given back, the second says how many.
    Again = 5,
    /// As the first says; an exception where there are none.
    OrThrows = 6,
    Frees = 7,
}

/// A block that was drawn.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Allocation {
    pub header: Header,
    pub address: u64,
    pub size: u64,
    /// How many points were drawn in it; 0: it is as large as [`ALLOCATION_MEAN`] or larger, and counts for itself.
    pub points: u32,
    pub flags: u32,
    pub stack: StackHead,
}

/// It is given back.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Freed {
    pub header: Header,
    pub address: u64,
}

/// Of one CPU: calls that succeed or fail, the bytes that they ask for, and records that had no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AllocationTotals {
    pub calls: u64,
    pub bytes: u64,
    pub frees: u64,
    pub lost: u64,
    pub lost_frees: u64,
}
