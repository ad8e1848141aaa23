//! Requests with their parameters → a number that is the same for equal ones. The key is made for one run and never
//! stored, so that nobody can find out from a recording what was asked.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, DefaultHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Transfers of one run whose tokens are kept: at most 5 MB, and as many calls as a pattern needs to show itself.
const MAX_IMPRINTS: u32 = 20_000;

#[derive(Debug, Clone, Default)]
pub struct RunKey(RandomState, Arc<AtomicU32>);

impl RunKey {
    pub(super) fn hasher(&self) -> DefaultHasher {
        self.0.build_hasher()
    }

    /// False: the run has kept the tokens of so many transfers that no more are.
    pub(super) fn has_room(&self) -> bool {
        self.1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| (kept < MAX_IMPRINTS).then_some(kept + 1))
            .is_ok()
    }

    pub(super) fn of(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }
}
