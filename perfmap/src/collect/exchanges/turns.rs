//! How far both directions of a connection had come, look after look → the least number of times that its direction
//! turned. Where both moved between two looks, their order is not known, and the one with fewest turns counts.

/// Bytes of the program's own that went out for the first time, and that came in in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    pub sent: u64,
    pub received: u64,
}

/// Runs: stretches in which bytes went one way only. The fewest that end with each direction; None: it cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns {
    seen: Moved,
    ends_sending: Option<u64>,
    ends_receiving: Option<u64>,
}

impl Turns {
    /// Of a connection that was there before: what it has moved by now is not ours.
    pub fn after(seen: Moved) -> Turns {
        Turns { seen, ..Turns::default() }
    }

    pub fn look(&mut self, now: Moved) {
        let (sent, received) = (now.sent > self.seen.sent, now.received > self.seen.received);
        // A counter never goes back; one that seems to has nothing new.
        self.seen = Moved { sent: now.sent.max(self.seen.sent), received: now.received.max(self.seen.received) };
        let (before_sending, before_receiving) = (self.ends_sending, self.ends_receiving);
        let first = before_sending.is_none() && before_receiving.is_none();
        let fewer = |left: Option<u64>, right: Option<u64>| left.into_iter().chain(right).min();
        // One way: the run goes on, or a new one begins. Both: the other way first, then this one.
        let one = |same: Option<u64>, other: Option<u64>| fewer(same, other.map(|runs| runs + 1));
        let both = |same: Option<u64>, other: Option<u64>| fewer(other.map(|runs| runs + 1), same.map(|runs| runs + 2));
        (self.ends_sending, self.ends_receiving) = match (sent, received, first) {
            (false, false, _) => (before_sending, before_receiving),
            (true, false, true) => (Some(1), None),
            (false, true, true) => (None, Some(1)),
            (true, true, true) => (Some(2), Some(2)),
            (true, false, false) => (one(before_sending, before_receiving), None),
            (false, true, false) => (None, one(before_receiving, before_sending)),
            (true, true, false) => (both(before_sending, before_receiving), both(before_receiving, before_sending)),
        };
    }

    /// Bytes one way, and after them bytes the other way: at least so often.
    pub fn exchanges(&self) -> u64 {
        self.ends_sending.into_iter().chain(self.ends_receiving).min().unwrap_or(0) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(looks: &[(u64, u64)]) -> u64 {
        let mut turns = Turns::default();
        looks.iter().for_each(|(sent, received)| turns.look(Moved { sent: *sent, received: *received }));
        turns.exchanges()
    }

    #[test]
    fn each_turn_that_was_seen_counts_and_no_other() {
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[(0, 0), (5, 0), (9, 0)]), 0, "nothing came back");
        assert_eq!(of(&[(5, 7)]), 1, "both went");
        assert_eq!(of(&[(5, 0), (5, 7), (5, 9), (10, 9), (10, 12)]), 2, "a long answer is one");
        // Three looks with both: out in | in out | out in would have four runs.
        assert_eq!(of(&[(1, 1), (2, 2), (3, 3)]), 2);
        assert_eq!(of(&[(5, 7), (4, 6)]), 1, "what goes back is nothing new");
    }

    #[test]
    fn what_was_moved_before_is_not_counted() {
        let mut turns = Turns::after(Moved { sent: 100, received: 100 });
        turns.look(Moved { sent: 100, received: 100 });
        assert_eq!(turns.exchanges(), 0);
        turns.look(Moved { sent: 101, received: 102 });
        assert_eq!(turns.exchanges(), 1);
    }

    proptest! {
        /// Whenever one looks, never more than there were, and with a look after each piece all of them.
        #[test]
        fn never_more_than_there_were(pieces in prop::collection::vec((any::<bool>(), 1u64..9, any::<bool>()), 0..60)) {
            let (mut at, mut turns, mut all) = (Moved::default(), Turns::default(), Turns::default());
            let (mut runs, mut last) = (0, None);
            for (sends, bytes, looked) in pieces {
                match sends {
                    true => at.sent += bytes,
                    false => at.received += bytes,
                }
                runs += u64::from(last != Some(sends));
                last = Some(sends);
                all.look(at);
                if looked {
                    turns.look(at);
                }
            }
            prop_assert!(turns.exchanges() <= runs / 2);
            prop_assert_eq!(all.exchanges(), runs / 2);
        }
    }
}
