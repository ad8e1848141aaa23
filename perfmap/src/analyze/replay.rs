//! The measured calls of one parent, laid out again under another rule → how long they would have taken together.
//!
//! Only what was measured is moved: how long each call took, how long its server computed for it, what the caller did
//! between two of them. What the caller computes is never laid over itself, and a server's computing not beyond the
//! width at which it was seen to answer.

use crate::recording::{self, Nanos};

/// One call as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Nanos,
    pub to: Nanos,
    /// Of it, computed by whoever answered, where that was seen: no other call's computing overlaps with it.
    pub computed: Nanos,
}

impl Span {
    pub fn length(self) -> Nanos {
        self.to.since(self.from)
    }
}

/// Most calls that were under way at one time.
pub fn width(spans: &[Span]) -> usize {
    let mut edges: Vec<(Nanos, i64)> = spans.iter().flat_map(|span| [(span.from, 1), (span.to, -1)]).collect();
    // At one instant an end goes before a beginning.
    edges.sort_unstable();
    let (mut now, mut most) = (0_i64, 0_i64);
    for (_, step) in edges {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0)
}

/// Time in which at least one was under way.
pub fn covered(spans: &[Span]) -> Nanos {
    recording::covered(spans.iter().map(|span| (span.from, span.to)))
}

/// Pairs of neighbours (by beginning) of which the second began only after the first was over.
pub fn after_one_another(spans: &[Span]) -> usize {
    spans.windows(2).filter(|pair| pair[1].from >= pair[0].to).count()
}

/// The same calls with at most `wide` at a time, each begun as soon as there is room: how long they take together.
pub fn overlapped(spans: &[Span], wide: usize) -> Nanos {
    let mut ends = vec![Nanos::ZERO; wide.max(1).min(spans.len().max(1))];
    for span in spans {
        if let Some(first) = ends.iter_mut().min() {
            *first = first.plus(span.length());
        }
    }
    let laid_out = ends.into_iter().max().unwrap_or_default();
    let computed: Nanos = spans.iter().map(|span| span.computed).sum();
    laid_out.max(computed)
}

/// All in one: as long as one call usually takes, with the computing of all.
pub fn as_one(spans: &[Span]) -> Nanos {
    let mut waits: Vec<Nanos> = spans.iter().map(|span| span.length().since(span.computed)).collect();
    waits.sort_unstable();
    let usual = waits.get(waits.len() / 2).copied().unwrap_or_default();
    usual.plus(spans.iter().map(|span| span.computed).sum())
}

/// What is saved of the time that is covered now.
pub fn saved(spans: &[Span], then: Nanos) -> Nanos {
    covered(spans).since(then)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from: Nanos(from), to: Nanos(to), computed: Nanos::ZERO }
    }

    #[test]
    fn thirteen_after_one_another_take_two_turns_of_eight() {
        let calls: Vec<Span> = (0..13).map(|n| span(n * 121, n * 121 + 120)).collect();
        assert_eq!(width(&calls), 1);
        assert_eq!(covered(&calls), Nanos(1560));
        assert_eq!(after_one_another(&calls), 12);
        assert_eq!(overlapped(&calls, 8), Nanos(240));
        assert_eq!(saved(&calls, overlapped(&calls, 8)), Nanos(1320));
    }

    #[test]
    fn what_the_server_computes_does_not_overlap() {
        let calls: Vec<Span> = (0..10).map(|n| Span { computed: Nanos(90), ..span(n * 100, n * 100 + 100) }).collect();
        assert_eq!(overlapped(&calls, 10), Nanos(900));
        assert_eq!(as_one(&calls), Nanos(910));
    }

    #[test]
    fn touching_calls_are_one_at_a_time() {
        assert_eq!(width(&[span(0, 10), span(10, 20)]), 1);
        assert_eq!(width(&[span(0, 11), span(10, 20), span(10, 12)]), 3);
    }

    proptest! {
        #[test]
        fn laid_out_is_between_the_longest_and_the_sum(
            lengths in proptest::collection::vec((0_u64..1000, 0_u64..1000), 0..40), wide in 0_usize..50,
        ) {
            let spans: Vec<Span> = lengths.iter().map(|(from, length)| span(*from, from + length)).collect();
            let laid = overlapped(&spans, wide);
            let longest = spans.iter().map(|span| span.length()).max().unwrap_or_default();
            prop_assert!(laid >= longest);
            prop_assert!(laid <= spans.iter().map(|span| span.length()).sum());
            prop_assert!(covered(&spans) >= longest);
        }
    }
}
