//! Map → class, bottlenecks, warnings.
//!
//! The stages: [`parts`] says what a step's own time consists of, [`candidate`] what could be the bottleneck and how
//! much it owns, [`rules`] which class that is (a visible table), [`warnings`] how far the figures can be trusted.
//! No sentences here: `report` writes them. The rules as text: `docs/classification.md`.

mod allocations;
pub mod baseline;
mod candidate;
mod escalation;
#[cfg(test)]
pub(crate) mod fixture;
mod hot;
mod lines;
mod norms;
mod own_profiles;
mod pages;
pub mod parallelism;
pub mod parts;
pub mod replay;
mod root_cause;
mod rules;
pub mod scaling;
pub mod suspicions;
#[cfg(test)]
mod tests;
mod types;
mod verdict;
mod warnings;
pub mod without;
mod wrong_tool;

pub use allocations::{Allocating, Amount, Native};
pub use escalation::{Escalation, Level, TimedLine};
pub use hot::HOT_PCT;
pub use lines::{Again, ENOUGH_SAMPLES, HIGHER_HZ, Line, Lines, hot_python, too_few};
pub use norms::{Norm, Norms, NormsError, Operation};
pub use own_profiles::OwnSeen;
pub use types::{Analysis, Bottleneck, CallProtocol, Class, Detail, Rank, Warning};
pub use verdict::{Conclusion, Reason, Recommendation};
pub use wrong_tool::{Indicator, Stalls};

use crate::{
    correlate::Correlated,
    map::Map,
    recording::{Nanos, Recording},
    resolve::Resolved,
};
use candidate::Candidate;
use suspicions::Facts;

/// A share (in percent) up to which nothing is worth acting on.
pub const ACTIONABLE_PCT: f64 = 20.0;
/// A share above which a bottleneck is the primary one.
pub const PRIMARY_PCT: f64 = 50.0;
/// So many calls after one another are a pattern.
const REPEATED: u64 = 3;
/// How many bottlenecks are named.
const TOP: usize = 3;
/// Bottlenecks below this share are not named at all.
const NAMED_PCT: f64 = 1.0;

pub fn analyze(recording: &Recording, resolved: &Resolved, correlated: &Correlated, map: &Map) -> Analysis {
    let facts = Facts { recording, resolved, correlated, map };
    let suspicions = suspicions::suspicions(&facts);
    let parallelism = parallelism::parallelism(&facts);
    let warnings = warnings::all(recording, resolved, map);
    let candidates = candidate::ranked(map);
    let (class, detail, mut top) = classify(map, &candidates);
    let (class, detail) = pages::are_the_machines(&facts, &suspicions, (class, detail), &mut top);
    let escalation = escalation::steps(recording, resolved, map);
    let norms = Norms::of(recording);
    let wrong_tool = wrong_tool::indicators(recording, map, &candidates, &top, &suspicions, &norms);
    let conclusion = verdict::conclude(class, &top, &suspicions, &wrong_tool, &warnings, recording.events.len() as u64);
    let root_cause = root_cause::chain(map, &top, &suspicions);
    let own_profiles = own_profiles::seen(recording, resolved);
    let scaling = scaling::scaling(&facts, parallelism.as_ref());
    Analysis {
        class,
        detail,
        top,
        suspicions,
        root_cause,
        wrong_tool,
        parallelism,
        escalation,
        conclusion,
        scaling,
        own_profiles,
        warnings,
    }
}

fn classify(map: &Map, candidates: &[Candidate<'_>]) -> (Class, Detail, Vec<Bottleneck>) {
    let Some(largest) = leading(map, candidates) else {
        return (Class::Unknown, Detail::NothingMeasured, vec![]);
    };
    let top: Vec<Bottleneck> = disjoint(candidates, TOP)
        .into_iter()
        .filter(|candidate| candidate.share_pct >= NAMED_PCT)
        .map(|candidate| bottleneck(map, candidate))
        .collect();
    let (class, detail) = rules::judge(map, largest);
    let (class, detail) = if is_actionable(map, candidates, largest) {
        (class, pattern(map, candidates, class, largest.time).unwrap_or(detail))
    } else {
        (Class::None, Detail::NothingStandsOut { largest: largest.time })
    };
    (class, detail, top)
}

/// The largest candidate; but the remainder outside the project is no step, it is many functions of many libraries: up
/// to half of the wall time it gives way to a step that is worth acting on.
fn leading<'c, 'm>(map: &Map, candidates: &'c [Candidate<'m>]) -> Option<&'c Candidate<'m>> {
    let largest = candidates.first()?;
    if largest.step.is_some() || largest.share_pct > PRIMARY_PCT {
        return Some(largest);
    }
    let largest_step = candidates.iter().find(|candidate| candidate.step.is_some());
    largest_step.filter(|step| is_actionable(map, candidates, step)).or(Some(largest))
}

fn is_actionable(map: &Map, candidates: &[Candidate<'_>], candidate: &Candidate<'_>) -> bool {
    let (class, _) = rules::judge(map, candidate);
    candidate.share_pct.max(calls_share(map, candidates, class)) > ACTIONABLE_PCT
}

/// What all calls of a class take together: waits for several services stand out as much as waits for one.
fn calls_share(map: &Map, candidates: &[Candidate<'_>], class: Class) -> f64 {
    let of_class = candidates.iter().filter(|candidate| {
        candidate.step.is_some_and(|step| candidate::is_call(step.kind)) && rules::judge(map, candidate).0 == class
    });
    of_class.map(|candidate| candidate.share_pct).sum()
}

/// A pattern of the same class that owns over half of the largest bottleneck's time says more than a single call.
fn pattern(map: &Map, candidates: &[Candidate<'_>], class: Class, largest: Nanos) -> Option<Detail> {
    candidates.iter().filter(|candidate| candidate.time.0 > largest.0 / 2).find_map(|candidate| {
        match rules::judge(map, candidate) {
            (found, detail @ Detail::SequentialCalls { count, .. }) if found == class && count >= REPEATED => {
                Some(detail)
            }
            _ => None,
        }
    })
}

/// The largest candidates that do not contain one another: time below a call is named once, as the call's.
fn disjoint<'m, 'c>(candidates: &'c [Candidate<'m>], most: usize) -> Vec<&'c Candidate<'m>> {
    let mut taken: Vec<&Candidate<'_>> = vec![];
    for candidate in candidates {
        if taken.len() == most {
            break;
        }
        if !taken.iter().any(|other| other.owns(candidate)) {
            taken.push(candidate);
        }
    }
    taken
}

fn bottleneck(map: &Map, candidate: &Candidate<'_>) -> Bottleneck {
    let (class, detail) = rules::judge(map, candidate);
    Bottleneck {
        step: candidate.step.map(|step| step.id.clone()),
        function: candidate.step.map(|step| step.function.clone()).unwrap_or_default(),
        class,
        rank: rank(candidate.share_pct),
        share_pct: candidate.share_pct,
        detail,
    }
}

pub(crate) fn share_pct(part: Nanos, whole: Nanos) -> f64 {
    if whole == Nanos::ZERO { 0.0 } else { part.0 as f64 / whole.0 as f64 * 100.0 }
}

fn rank(share_pct: f64) -> Rank {
    if share_pct > PRIMARY_PCT {
        Rank::Primary
    } else if share_pct >= ACTIONABLE_PCT {
        Rank::Secondary
    } else {
        Rank::Tertiary
    }
}
