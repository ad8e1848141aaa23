//! For the rules' tests: the facts of the example around a map of their own.

use super::{Answer, Category, Facts, Suspicion, Verdict};
use crate::{
    analyze::fixture::{recording, resolved},
    correlate::Correlated,
    map::Map,
};

pub fn with_map(map: &Map, judge: fn(&Facts<'_>) -> Answer) -> Answer {
    let (recording, resolved, correlated) = (recording(), resolved(), Correlated::default());
    judge(&Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map })
}

/// One with nothing to it but its verdict.
pub fn suspicion(id: &'static str, category: Category, verdict: Verdict) -> Suspicion {
    Suspicion {
        id,
        category,
        subject: "x".into(),
        location: None,
        affected_steps: vec![],
        description: String::new(),
        verdict,
        evidence: vec![],
        note: String::new(),
        gain: None,
        change: None,
    }
}
