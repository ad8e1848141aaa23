//! The same request, or the same statement with the same parameters, asked again for one parent call by one step. What
//! was changed in between at the peer, and answers that differ, are reasons to ask again; so is polling.

use std::collections::BTreeMap;

use crate::{
    analyze::{
        replay,
        suspicions::{
            Answer, Facts,
            calls::{self, Group},
            draft::suspicion,
            entries,
            rules::n_plus_one_queries::is_frame,
            sketch::{self, Pattern},
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::{CallKind, RoundTrip},
};

/// So many equal ones: twice is before and after.
const SAME: usize = 3;

pub(crate) fn requests(facts: &Facts<'_>) -> Answer {
    judge(facts, ("repeated_request", Category::DataFlow), CallKind::is_web)
}

pub(crate) fn queries(facts: &Facts<'_>) -> Answer {
    judge(facts, ("repeated_query", Category::DataFlow), CallKind::is_store)
}

fn judge(facts: &Facts<'_>, rule: (&'static str, Category), of_kind: fn(CallKind) -> bool) -> Answer {
    let groups = calls::groups(facts);
    let mut found = Vec::new();
    for group in groups.iter().filter(|group| of_kind(group.kind) && !is_frame(&group.operation)) {
        let mut equal: BTreeMap<u64, Vec<&RoundTrip>> = BTreeMap::new();
        // What was refused has to be asked for again.
        let answered = |trip: &&&RoundTrip| !trip.refused && trip.status.is_none_or(|status| status < 400);
        for trip in group.calls.iter().filter(answered) {
            if let Some(repeat) = trip.repeat {
                equal.entry(repeat).or_default().push(trip);
            }
        }
        let mut sets: Vec<Vec<&RoundTrip>> = equal.into_values().filter(|set| set.len() >= SAME).collect();
        // The keys differ from run to run.
        sets.sort_by_key(|set| set.first().map(|trip| (trip.sent, trip.socket)));
        if !sets.is_empty() && reads(group) {
            found.push(of_sets(facts, rule, group, &sets));
        }
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// It changes nothing, as far as its first word tells.
fn reads(group: &Group<'_>) -> bool {
    let first = group.operation.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match group.kind {
        CallKind::Http => matches!(first.as_str(), "GET" | "HEAD"),
        CallKind::Database => matches!(first.as_str(), "SELECT" | "WITH" | "SHOW" | "EXPLAIN"),
        CallKind::Cache => {
            matches!(first.as_str(), "GET" | "MGET" | "HGET" | "HGETALL" | "HMGET" | "GETS" | "LRANGE" | "SMEMBERS")
        }
        CallKind::Grpc | CallKind::Name => false,
    }
}

fn of_sets(
    facts: &Facts<'_>,
    rule: (&'static str, Category),
    group: &Group<'_>,
    sets: &[Vec<&RoundTrip>],
) -> Suspicion {
    let name = calls::peer_name(facts, group.peer);
    let again: Vec<&RoundTrip> = sets.iter().flat_map(|set| set.iter().skip(1)).copied().collect();
    let differ = sets.iter().flat_map(|set| set.windows(2));
    let answers = differ.clone().filter(|pair| pair[0].answered.seen && pair[1].answered.seen).count();
    let differ = differ.filter(|pair| pair[0].answered.tokens != pair[1].answered.tokens).count();
    let changed = sets.iter().any(|set| changes_between(facts, set));
    let polls = sets.iter().all(|set| calls::sleeps_between(facts, set));
    let count: usize = sets.iter().map(Vec::len).sum();
    let evidence = vec![
        Evidence::held_against("equal ones", Value::Count(count as u64), Value::Count(SAME as u64)),
        Evidence::new("asked again", Value::Count(again.len() as u64)),
        Evidence::held_against("answers that differ from the one before", Value::Count(differ as u64), Value::Count(0)),
    ];
    let (verdict, note) = if polls {
        (Verdict::Dismissed, "the caller sleeps between them: it polls".to_owned())
    } else if differ * 2 > answers && answers > 0 {
        (Verdict::Dismissed, format!("{differ} of {answers} answers differ from the one before"))
    } else if changed {
        (Verdict::Dismissed, "something was written to the peer in between".to_owned())
    } else {
        let in_one = sets.iter().map(|set| entries::most_in_one(facts, set, group.place.step)).max().unwrap_or(0);
        match in_one < SAME {
            true => (Verdict::Dismissed, entries::note(in_one, count)),
            false => (Verdict::Confirmed, format!("{count} equal ones, {} more than needed", again.len())),
        }
    };
    let description = format!("{} is asked of {name} again with the same parameters.", group.operation);
    let subject = format!("{name}: {}", group.operation);
    let mut found = suspicion(rule, subject, Some(&group.place), (verdict, note), description, evidence);
    if verdict == Verdict::Confirmed {
        let wall = replay::covered(&calls::spans(facts, &again));
        found.gain = group.place.is_waited_for().then(|| Gain {
            wall,
            basis: format!("{} round trips that were made before take {:.1} ms", again.len(), wall.as_ms()),
        });
        found.change = Some(sketch::change(Pattern::KeepAnswer, found.location.as_ref(), group.place.function()));
    }
    found
}

/// Between the first and the last, the same process sent the peer what is no read.
fn changes_between(facts: &Facts<'_>, set: &[&RoundTrip]) -> bool {
    let (Some(first), Some(last)) = (set.first(), set.last()) else { return false };
    let trips = &facts.correlated.flows.round_trips;
    let from = trips.partition_point(|trip| trip.sent < first.received);
    trips[from..].iter().take_while(|trip| trip.sent < last.sent).any(|trip| {
        trip.peer == first.peer && !trip.inbound && {
            let word = trip.method.as_deref().or(trip.route.as_deref()).unwrap_or_default().trim_start();
            let word = word.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            const CHANGES: [&str; 14] = [
                "POST", "PUT", "PATCH", "DELETE", "INSERT", "UPDATE", "MERGE", "CALL", "SET", "DEL", "HSET", "INCR",
                "EXPIRE", "REPLACE",
            ];
            CHANGES.contains(&word.as_str())
        }
    })
}
