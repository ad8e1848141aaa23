//! Look-ups of one name by one process, beside the requests that it made to the peer of that name.

use std::collections::BTreeMap;

use crate::{
    analyze::{
        replay,
        suspicions::{
            Answer, Facts,
            calls::{self, Made},
            draft::{PATTERN, suspicion},
            rules::connection_per_request::steps,
            sketch::{self, Pattern},
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::{CallKind, RoundTrip},
    recording::{Nanos, ProcessId},
};

const RULE: (&str, Category) = ("dns_per_request", Category::ConnectionManagement);
const MOST_PER_REQUEST: f64 = 0.5;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut asked: BTreeMap<(ProcessId, &str), Vec<Made<'_>>> = BTreeMap::new();
    let mut requests: BTreeMap<(ProcessId, String), u64> = BTreeMap::new();
    for made in calls::made(facts) {
        let Some(task) = facts.recording.tasks.get(made.trip.task.0 as usize) else { continue };
        if made.trip.protocol.kind() == CallKind::Name {
            if let Some((_, name)) = made.trip.route.as_deref().and_then(|question| question.split_once(' ')) {
                asked.entry((task.process, name)).or_default().push(made);
            }
        } else if let Some(host) = host(facts, made.trip) {
            *requests.entry((task.process, host)).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for ((process, name), made) in asked {
        let requests = requests.get(&(process, name.to_ascii_lowercase())).copied().unwrap_or(0);
        found.extend(of_name(facts, name, &made, requests));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// As requests named the peer, without the port.
fn host(facts: &Facts<'_>, trip: &RoundTrip) -> Option<String> {
    let host = facts.correlated.flows.peers.get(trip.peer?)?.host.as_deref()?;
    Some(host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase())
}

fn of_name(facts: &Facts<'_>, name: &str, made: &[Made<'_>], requests: u64) -> Option<Suspicion> {
    // One look-up asks for addresses of both families.
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    for made in made {
        let kind =
            made.trip.route.as_deref().and_then(|question| question.split_once(' ')).map_or("", |(kind, _)| kind);
        *by_kind.entry(kind).or_default() += 1;
    }
    let lookups = by_kind.values().max().copied().unwrap_or(0);
    if lookups < PATTERN {
        return None;
    }
    let ratio = lookups as f64 / requests.max(1) as f64;
    let confirmed = requests == 0 || ratio > MOST_PER_REQUEST;
    let trips: Vec<&RoundTrip> = made.iter().map(|made| made.trip).collect();
    let spans = calls::spans(facts, &trips);
    let time = replay::covered(&spans);
    let evidence = vec![
        Evidence::held_against("look-ups of the name", Value::Count(lookups as u64), Value::Count(PATTERN as u64)),
        Evidence::new("requests to it", Value::Count(requests)),
        Evidence::held_against("look-ups per request", Value::Ratio(ratio), Value::Ratio(MOST_PER_REQUEST)),
        Evidence::new("time in them", Value::Time(time)),
    ];
    let note = format!("{lookups} look-ups, {requests} requests that name it");
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = made.first()?.place;
    let description = format!("{name} is looked up again and again.");
    let mut found = suspicion(RULE, name.to_owned(), Some(&place), (verdict, note), description, evidence);
    if confirmed {
        found.affected_steps = steps(made);
        let wall = Nanos(time.0 / lookups as u64 * (lookups as u64 - 1));
        found.gain = place
            .is_waited_for()
            .then(|| Gain { wall, basis: format!("{lookups} look-ups take {:.1} ms, one would do", time.as_ms()) });
        found.change = Some(sketch::change(Pattern::KeepName, found.location.as_ref(), place.function()));
    }
    Some(found)
}
