//! Suspicions of two results → resolved, new, remaining. One suspicion is its rule and its subject.

use std::collections::BTreeMap;

use super::{Side, SuspicionRow, Suspicions};
use crate::report::result::{SuspicionOut, SuspicionVerdictOut};

pub fn compare(before: &Side, after: &Side) -> Option<Suspicions> {
    let (mut old, new) = (confirmed(before.suspicions.as_ref()?), confirmed(after.suspicions.as_ref()?));
    let mut found = Suspicions::default();
    for (key, now) in new {
        match old.remove(&key) {
            Some(_) => found.remaining.push(row(now)),
            None => found.new.push(row(now)),
        }
    }
    found.resolved = old.into_values().map(row).collect();
    Some(found)
}

fn confirmed(all: &[SuspicionOut]) -> BTreeMap<(&str, &str), &SuspicionOut> {
    let confirmed = all.iter().filter(|one| one.verdict == SuspicionVerdictOut::Confirmed);
    confirmed.map(|one| ((one.id.as_str(), one.subject.as_str()), one)).collect()
}

fn row(one: &SuspicionOut) -> SuspicionRow {
    SuspicionRow { id: one.id.clone(), subject: one.subject.clone(), note: one.verification_note.clone() }
}
