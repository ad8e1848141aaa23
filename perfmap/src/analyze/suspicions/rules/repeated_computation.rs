//! One function below several others, each time with the same input as far as that is seen: the same request or
//! statement with the same parameters, and the same answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay,
        suspicions::{
            Answer, Facts,
            calls::{self, Made},
            draft::suspicion,
            entries,
            rules::{connection_per_request::steps, n_plus_one_queries::is_frame},
            sketch::{self, Pattern},
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::RoundTrip,
};

const RULE: (&str, Category) = ("repeated_computation", Category::RedundantWork);
/// Equal inputs below different callers.
const LEAST: usize = 3;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    type Key<'k> = (&'k str, Option<usize>, Option<usize>);
    let mut by_function: BTreeMap<Key<'_>, BTreeMap<u64, Vec<Made<'_>>>> = BTreeMap::new();
    for made in calls::made(facts) {
        let frame = made.trip.method.is_none() && made.trip.route.as_deref().is_some_and(is_frame);
        if let (Some(step), Some(repeat)) = (made.place.step, made.trip.repeat)
            && !frame
        {
            let key = (step.function.as_str(), made.parent, made.trip.peer);
            by_function.entry(key).or_default().entry(repeat).or_default().push(made);
        }
    }
    let mut found: Vec<Suspicion> = Vec::new();
    for ((function, _, _), equal) in by_function {
        let sets: Vec<Vec<Made<'_>>> = equal.into_values().filter(|set| below_several(set)).collect();
        found.extend(of_sets(facts, function, &sets));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn below_several(set: &[Made<'_>]) -> bool {
    let above: BTreeSet<&str> = set.iter().filter_map(|made| made.place.above.map(|above| above.id.as_str())).collect();
    above.len() > 1 && set.len() >= LEAST
}

/// Those of one call of the function that they all belong to.
fn parts<'a>(facts: &Facts<'a>, set: &[Made<'a>]) -> Vec<Vec<Made<'a>>> {
    let calls: Vec<_> = set.iter().map(|made| (made.trip, made.place.step)).collect();
    let mut parts: BTreeMap<usize, Vec<Made<'a>>> = BTreeMap::new();
    for (stretch, made) in entries::stretches(facts, &calls).into_iter().zip(set) {
        parts.entry(stretch).or_default().push(*made);
    }
    parts.into_values().collect()
}

fn of_sets(facts: &Facts<'_>, function: &str, sets: &[Vec<Made<'_>>]) -> Option<Suspicion> {
    let all: Vec<Made<'_>> = sets.iter().flatten().copied().collect();
    let first = all.iter().min_by_key(|made| made.trip.sent)?;
    let pairs = || sets.iter().flat_map(|set| set.windows(2));
    let differ = pairs().filter(|pair| pair[0].trip.answered.tokens != pair[1].trip.answered.tokens).count();
    let in_one = sets.iter().any(|set| parts(facts, set).iter().any(|part| below_several(part)));
    let confirmed = in_one && differ * 2 <= pairs().count();
    let again: Vec<&RoundTrip> = sets.iter().flat_map(|set| set.iter().skip(1)).map(|made| made.trip).collect();
    let callers = steps(&all).len();
    let evidence = vec![
        Evidence::held_against("equal inputs", Value::Count(all.len() as u64), Value::Count(LEAST as u64)),
        Evidence::new("different inputs", Value::Count(sets.len() as u64)),
        Evidence::new("places of it", Value::Count(callers as u64)),
        Evidence::held_against("answers that differ from the one before", Value::Count(differ as u64), Value::Count(0)),
    ];
    let mut note = format!("{} calls with {} different inputs at {callers} places", all.len(), sets.len());
    if !in_one {
        note.push_str(", each place in a call of its own of the function above them");
    }
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let description = format!("{function} is called by several functions with the same input.");
    let mut found = suspicion(RULE, function.to_owned(), Some(&first.place), (verdict, note), description, evidence);
    found.affected_steps = steps(&all);
    if confirmed {
        let wall = replay::covered(&calls::spans(facts, &again));
        found.gain = first.place.is_waited_for().then(|| Gain {
            wall,
            basis: format!("{} calls whose answer was known take {:.1} ms", again.len(), wall.as_ms()),
        });
        found.change = Some(sketch::change(Pattern::KeepAnswer, found.location.as_ref(), function));
    }
    Some(found)
}
