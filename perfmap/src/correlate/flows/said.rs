//! What one side of a round trip said, as tokens that can be compared within a run; and how much of it was seen.

/// Most tokens of one side; more are not looked at.
const MOST: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Keyed hashes, sorted.
    pub tokens: Vec<u32>,
    /// Something of it was read.
    pub seen: bool,
    /// And something was not.
    pub cut: bool,
}

impl Said {
    pub(super) fn add(&mut self, hashes: &[u32], whole: bool) {
        self.seen = true;
        self.cut |= !whole;
        for hash in hashes {
            match self.tokens.binary_search(hash) {
                Ok(_) => {}
                Err(_) if self.tokens.len() >= MOST => self.cut = true,
                Err(at) => self.tokens.insert(at, *hash),
            }
        }
    }

    pub fn is_whole(&self) -> bool {
        self.seen && !self.cut
    }
}
