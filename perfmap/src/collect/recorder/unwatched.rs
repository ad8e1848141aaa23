//! What the kernel counted while the returns of system calls were not watched → the call sites that had it, in the
//! proportions of what was watched right before.

use std::collections::HashMap;

use perfmap_common as wire;

/// What is kept of a task's sites: those of about its last stretch. A storm has gone on for longer when the first rest begins.
const STRETCH_NS: u64 = 20_000_000;
const MOST_SITES: usize = 64;

/// File I/O of one call site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub site: u64,
    pub bytes: u64,
    pub calls: u64,
}

#[derive(Debug, Default)]
struct Stretch {
    since: u64,
    /// It was shared by: what comes next begins anew.
    over: bool,
    parts: Vec<Part>,
}

/// By thread and operation.
#[derive(Debug, Default)]
pub(super) struct Unwatched(HashMap<(u32, u32), Stretch>);

impl Unwatched {
    /// A record of watched calls.
    pub(super) fn see(&mut self, io: &wire::FileIo) {
        let stretch = self.0.entry((io.header.tid, io.operation)).or_default();
        if stretch.over || io.header.at.saturating_sub(stretch.since) > STRETCH_NS {
            *stretch = Stretch { since: io.header.at, ..Stretch::default() };
        }
        if let Some(part) = stretch.parts.iter_mut().find(|part| part.site == io.site) {
            part.bytes = part.bytes.saturating_add(io.bytes);
            part.calls = part.calls.saturating_add(io.calls);
        } else if stretch.parts.len() < MOST_SITES {
            stretch.parts.push(Part { site: io.site, bytes: io.bytes, calls: io.calls });
        }
    }

    /// A record of unwatched ones; what it has is shared out without rest. Nothing for one of no bytes.
    pub(super) fn share(&mut self, io: &wire::FileIo) -> Vec<Part> {
        if io.bytes == 0 && io.calls == 0 {
            return Vec::new();
        }
        let stretch = self.0.entry((io.header.tid, io.operation)).or_default();
        stretch.over = true;
        let by_bytes = split(io.bytes, stretch.parts.iter().map(|part| part.bytes));
        let by_calls = split(io.calls, stretch.parts.iter().map(|part| part.calls));
        let whole = Part { site: io.site, bytes: io.bytes, calls: io.calls };
        match (by_bytes, by_calls) {
            (Some(bytes), Some(calls)) => {
                let parts = stretch.parts.iter().zip(bytes.into_iter().zip(calls));
                let parts = parts.map(|(part, (bytes, calls))| Part { site: part.site, bytes, calls });
                parts.filter(|part| part.bytes > 0 || part.calls > 0).collect()
            }
            // Nothing was watched.
            (None, _) | (_, None) => vec![whole],
        }
    }

    pub(super) fn ended(&mut self, tid: u32) {
        self.0.remove(&(tid, 0));
        self.0.remove(&(tid, 1));
    }
}

/// `total` in the proportions of `weights`, whose sum it keeps; None where these are all 0.
fn split(total: u64, weights: impl Iterator<Item = u64> + Clone) -> Option<Vec<u64>> {
    // So that the product below has room.
    let weights = weights.map(|weight| weight.min(u64::MAX >> 7));
    let all: u128 = weights.clone().map(u128::from).sum();
    if all == 0 {
        return None;
    }
    // By where each one's end lies, so that nothing is lost to rounding.
    let (mut before, mut given) = (0_u128, 0_u64);
    let shares = weights.map(|weight| {
        before += u128::from(weight);
        let until = u64::try_from(u128::from(total) * before / all).unwrap_or(total);
        let share = until - given;
        given = until;
        share
    });
    Some(shares.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn io(at: u64, site: u64, bytes: u64, calls: u64) -> wire::FileIo {
        let header = wire::Header { kind: wire::Kind::FileIo as u32, pid: 1, tid: 1, cpu: 0, at };
        let stack = wire::StackHead { registers: [0; 17], coroutine: 0, python: 0, kernel: 0, user: 0, flags: 0 };
        wire::FileIo { header, first: at, bytes, calls, site, operation: 0, has_stack: 0, stack }
    }

    #[test]
    fn sites_get_what_they_had_right_before() {
        let mut unwatched = Unwatched::default();
        assert_eq!(unwatched.share(&io(1, 0, 7, 1)), [Part { site: 0, bytes: 7, calls: 1 }], "nothing was watched");
        unwatched.see(&io(2, 5, 30, 3));
        unwatched.see(&io(3, 6, 900, 1));
        unwatched.see(&io(4, 5, 70, 7));
        let shared = unwatched.share(&io(50, 0, 10_000, 110));
        assert_eq!(shared, [Part { site: 5, bytes: 1_000, calls: 100 }, Part { site: 6, bytes: 9_000, calls: 10 }]);
        unwatched.see(&io(51, 8, 1, 1));
        assert_eq!(
            unwatched.share(&io(99, 0, 40, 40)),
            [Part { site: 8, bytes: 40, calls: 40 }],
            "a stretch of its own"
        );
        assert_eq!(unwatched.share(&io(100, 0, 0, 0)), []);
        unwatched.ended(1);
        assert_eq!(unwatched.share(&io(101, 0, 2, 2)), [Part { site: 0, bytes: 2, calls: 2 }]);
    }

    #[test]
    fn old_sites_are_forgotten() {
        let mut unwatched = Unwatched::default();
        unwatched.see(&io(0, 5, 30, 3));
        unwatched.see(&io(STRETCH_NS + 1, 6, 1, 1));
        let of_six = Part { site: 6, bytes: 10, calls: 1 };
        assert_eq!(unwatched.share(&io(STRETCH_NS + 2, 0, 10, 1)), [of_six]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made_up(
            seen in prop::collection::vec((0_u64..100, any::<u64>(), any::<u64>()), 0..100), bytes: u64, calls: u64
        ) {
            let mut unwatched = Unwatched::default();
            for (site, bytes, calls) in seen {
                unwatched.see(&io(0, site, bytes, calls));
            }
            let parts = unwatched.share(&io(1, 0, bytes, calls));
            prop_assert_eq!(parts.iter().map(|part| u128::from(part.bytes)).sum::<u128>(), u128::from(bytes));
            prop_assert_eq!(parts.iter().map(|part| u128::from(part.calls)).sum::<u128>(), u128::from(calls));
        }
    }
}
