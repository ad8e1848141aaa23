//! A peer that refuses because it was asked too often (429), or sleeps in a limiter of the program's own. What a limit
//! costs is not computed: nothing that was measured tells what the peer would let through. The hint says so.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, Made, Place},
        draft::suspicion,
        rules::connection_per_request::steps,
        sketch_resources::{self, Pattern},
        stacks::Stacks,
        types::{Category, Evidence, Suspicion, Value, Verdict},
    },
    correlate::Cause,
    map::Step,
    recording::Nanos,
};

const RULE: (&str, Category) = ("rate_limiting", Category::Concurrency);
const TOO_MANY_REQUESTS: u16 = 429;
/// So many refusals, or sleeps, are no chance.
const TIMES: usize = 3;
/// Parts of the names of functions that hold back.
const HOLD_BACK: [&str; 4] = ["throttle", "limiter", "backoff", "back_off"];

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut by_peer: BTreeMap<Option<usize>, Vec<Made<'_>>> = BTreeMap::new();
    for made in calls::made(facts).into_iter().filter(|made| made.trip.protocol.kind().is_web()) {
        by_peer.entry(made.trip.peer).or_default().push(made);
    }
    let refusals = by_peer.into_iter().filter_map(|(peer, made)| of_peer(facts, peer, &made));
    let mut found: Vec<Suspicion> = refusals.chain(sleeps(facts)).collect();
    for mut one in super::pacing::judge(facts) {
        // By its name it is known already.
        if !found.iter().any(|known| known.affected_steps == one.affected_steps) {
            let function = one.subject.clone();
            advise(&mut one, Pattern::RaiseLimit, &function);
            found.push(one);
        }
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn advise(one: &mut Suspicion, pattern: Pattern, function: &str) {
    one.change = Some(sketch_resources::change(pattern, one.location.as_ref(), function));
}

fn of_peer(facts: &Facts<'_>, peer: Option<usize>, made: &[Made<'_>]) -> Option<Suspicion> {
    let refused: Vec<Made<'_>> =
        made.iter().filter(|made| made.trip.status == Some(TOO_MANY_REQUESTS)).copied().collect();
    let first = refused.first()?;
    let confirmed = refused.len() >= TIMES;
    let name = calls::peer_name(facts, peer);
    let evidence = vec![
        Evidence::held_against("answers 429", Value::Count(refused.len() as u64), Value::Count(TIMES as u64)),
        Evidence::new("requests", Value::Count(made.len() as u64)),
    ];
    let note = format!("{} of {} requests were refused with 429", refused.len(), made.len());
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let description = format!("{name} refuses requests because they are too many.");
    let mut found = suspicion(RULE, name, Some(&first.place), (verdict, note), description, evidence);
    found.affected_steps = steps(&refused);
    if confirmed {
        let function = first.place.step.map_or("the program", |step| step.function.as_str());
        advise(&mut found, Pattern::SendLess, function);
    }
    Some(found)
}

fn sleeps(facts: &Facts<'_>) -> Vec<Suspicion> {
    let stacks = Stacks::new(facts);
    let mut by_step: BTreeMap<&str, (&Step, &str, Vec<Nanos>)> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| wait.cause == Cause::Sleep) {
        let Some(stack) = wait.stack else { continue };
        let limiter = stacks.places(stack).find(|(_, place)| {
            let name = place.function.to_ascii_lowercase();
            HOLD_BACK.iter().any(|part| name.contains(part))
        });
        if let (Some((_, place)), Some(step)) = (limiter, stacks.step(stack)) {
            let of = by_step.entry(step.id.as_str()).or_insert((step, place.function.as_str(), Vec::new()));
            of.2.push(wait.woken.since(wait.off));
        }
    }
    let often = by_step.into_values().filter(|(_, _, slept)| slept.len() >= TIMES);
    often
        .map(|(step, limiter, slept)| {
            let time: Nanos = slept.iter().copied().sum();
            let evidence = vec![
                Evidence::held_against("sleeps", Value::Count(slept.len() as u64), Value::Count(TIMES as u64)),
                Evidence::new("time in them", Value::Time(time)),
            ];
            let note = format!("{} sleeps in {limiter}, {:.1} ms together", slept.len(), time.as_ms());
            let place = Place { step: Some(step), above: None };
            let description = format!("{limiter} holds the program back.");
            let verdict = (Verdict::Confirmed, note);
            let mut found = suspicion(RULE, limiter.to_owned(), Some(&place), verdict, description, evidence);
            advise(&mut found, Pattern::RaiseLimit, limiter);
            found
        })
        .collect()
}
