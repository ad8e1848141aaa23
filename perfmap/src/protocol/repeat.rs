//! Requests with their parameters → a number that is the same for equal ones. The key is made for one run and never
//! stored, so that nobody can find out from a recording what was asked.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, DefaultHasher, Hasher},
};

#[derive(Debug, Clone, Default)]
pub struct RunKey(RandomState);

impl RunKey {
    pub(super) fn hasher(&self) -> DefaultHasher {
        self.0.build_hasher()
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
