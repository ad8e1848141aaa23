//! What every rule's answer has, before gain and change.

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
