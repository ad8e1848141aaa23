//! The rules on calls and on what they carry: one file each.

pub(super) mod connection_per_request;
pub(super) mod n_plus_one_queries;
pub(super) mod repeated;
pub(super) mod sequential_http_calls;

use super::{
    calls::Place,
    types::{Category, Evidence, Suspicion, Verdict},
};

/// So many calls of one kind are a pattern.
pub(super) const PATTERN: usize = 5;

/// Without gain and change.
pub(super) fn suspicion(
    (id, category): (&'static str, Category),
    subject: String,
    place: Option<&Place<'_>>,
    (verdict, note): (Verdict, String),
    description: String,
    evidence: Vec<Evidence>,
) -> Suspicion {
    Suspicion {
        id,
        category,
        subject,
        location: place.and_then(Place::location),
        affected_steps: place.map(Place::id).unwrap_or_default(),
        description,
        verdict,
        evidence,
        note,
        gain: None,
        change: None,
    }
}
