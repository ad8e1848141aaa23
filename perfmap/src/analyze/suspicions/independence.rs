//! Calls one after the other → does a later request carry what an earlier answer first brought?
//!
//! Decided from the tokens that were seen, and said with how much was seen. A value that an earlier request carried
//! too was known before, so it shows no dependence. Numbers of three digits and less are no tokens.

use std::collections::{BTreeMap, BTreeSet};

use super::types::{Evidence, Value};
use crate::correlate::RoundTrip;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Independence {
    pub calls: usize,
    /// Calls whose request carries what an earlier one's answer first brought.
    pub dependent: usize,
    /// Of calls that need one another in turn.
    pub longest_chain: usize,
    /// Calls whose request and answer were read, and read whole.
    pub seen: usize,
    pub whole: usize,
    /// Behind the first, calls whose request has no token that an earlier one had not: what it asks for is a number of
    /// three digits or less, or nothing.
    pub alike: usize,
}

impl Independence {
    pub fn of(calls: &[&RoundTrip]) -> Independence {
        // Token → the call whose answer first brought it; None: a request had it first.
        let mut first: BTreeMap<u32, Option<usize>> = BTreeMap::new();
        let mut asked_before: BTreeSet<u32> = BTreeSet::new();
        let mut chain = vec![1_usize; calls.len()];
        let mut found = Independence { calls: calls.len(), ..Independence::default() };
        for (index, call) in calls.iter().enumerate() {
            let brought = call.asked.tokens.iter().filter_map(|token| first.get(token).copied().flatten());
            let needs = brought.filter(|from| calls[*from].received <= call.sent).max_by_key(|from| chain[*from]);
            if let Some(from) = needs {
                found.dependent += 1;
                chain[index] = chain[from] + 1;
            }
            let known = |token: &u32| asked_before.contains(token);
            found.alike += usize::from(index > 0 && call.asked.seen && call.asked.tokens.iter().all(known));
            for token in &call.asked.tokens {
                asked_before.insert(*token);
                first.entry(*token).or_insert(None);
            }
            for token in &call.answered.tokens {
                first.entry(*token).or_insert(Some(index));
            }
            found.seen += usize::from(call.asked.seen && call.answered.seen);
            found.whole += usize::from(call.asked.is_whole() && call.answered.is_whole());
        }
        found.longest_chain = chain.into_iter().max().unwrap_or(0);
        found
    }

    /// Too little was read to say anything.
    pub fn is_unknown(&self) -> bool {
        self.seen * 2 < self.calls
    }

    /// At least every second call had to wait for an earlier one's answer.
    pub fn is_a_chain(&self) -> bool {
        self.longest_chain * 2 > self.calls
    }

    pub fn evidence(&self) -> Evidence {
        Evidence::held_against(
            "requests that carry what an earlier answer first brought",
            Value::Count(self.dependent as u64),
            Value::Count(self.calls as u64 / 2),
        )
    }

    /// Where what tells most requests apart comes from was not seen: a loop's counter, or a number in an answer.
    pub fn is_untold(&self) -> bool {
        self.alike * 2 > self.calls
    }

    /// How sure it is.
    pub fn note(&self) -> String {
        let Independence { calls, whole, seen, .. } = *self;
        let read = if whole == calls {
            "all requests and answers were read whole".into()
        } else {
            format!("{seen} of {calls} calls were read, {whole} of them whole")
        };
        if !self.is_untold() {
            return read;
        }
        format!(
            "{read}; most requests differ in numbers of three digits at most, and whether answers brought these was not seen"
        )
    }
}
