//! Stacks → whether a goroutine waits for a mutex, or at a channel, there. Up to Go 1.19 the runtime's own reason is that of any semaphore, a
//! group's as well; the functions tell them apart. The only place that knows them by name.

use crate::resolve::{Language, PlaceId, Resolved};

/// Functions of the runtime's above the mutex's own.
const NEAR: usize = 8;

pub(in crate::map) fn waits_for_mutex(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let native = places.filter(|place| place.language == Language::Native).take(NEAR);
    native.into_iter().any(|place| {
        matches!(
            place.function.as_str(),
            "sync.(*Mutex).Lock"
                | "sync.(*Mutex).lockSlow"
                | "internal/sync.(*Mutex).lockSlow"
                | "sync.(*RWMutex).Lock"
                | "sync.(*RWMutex).RLock"
        )
    })
}

/// Until another one sends, receives or closes.
pub(in crate::map) fn waits_at_channel(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let native = places.filter(|place| place.language == Language::Native).take(NEAR);
    native.into_iter().any(|place| {
        matches!(
            place.function.as_str(),
            "runtime.chansend"
                | "runtime.chansend1"
                | "runtime.chanrecv"
                | "runtime.chanrecv1"
                | "runtime.chanrecv2"
                | "runtime.selectgo"
        )
    })
}
