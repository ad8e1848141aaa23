//! Stacks → whether a goroutine waits for a mutex, or at a channel, there. Up to Go 1.19 the runtime's own reason is that of
//! any semaphore, a group's as well; the functions tell them apart. The only place that knows them by name.

use crate::resolve::{Language, PlaceId, Resolved};

/// Functions of the runtime's above the mutex's own.
const NEAR: usize = 8;

/// The mutex's own functions.
const MUTEX: [&str; 5] = [
    "sync.(*Mutex).Lock",
    "sync.(*Mutex).lockSlow",
    "internal/sync.(*Mutex).lockSlow",
    "sync.(*RWMutex).Lock",
    "sync.(*RWMutex).RLock",
];
/// Until another one sends, receives or closes.
const CHANNEL: [&str; 6] = [
    "runtime.chansend",
    "runtime.chansend1",
    "runtime.chanrecv",
    "runtime.chanrecv1",
    "runtime.chanrecv2",
    "runtime.selectgo",
];

pub(in crate::map) fn waits_for_mutex(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    is_in(resolved, stack, &MUTEX)
}

pub(in crate::map) fn waits_at_channel(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    is_in(resolved, stack, &CHANNEL)
}

/// In one of these functions, below at most `NEAR - 1` of the runtime's.
fn is_in(resolved: &Resolved, stack: &[PlaceId], functions: &[&str]) -> bool {
    let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let mut native = places.filter(|place| place.language == Language::Native).take(NEAR);
    native.any(|place| functions.contains(&place.function.as_str()))
}
