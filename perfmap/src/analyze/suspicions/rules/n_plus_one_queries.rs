//! One statement of a database, or one command of a cache, again and again for one parent call, each after the one
//! before. The same with the same parameters is another rule's; a transaction's bounds are no statement.

use std::collections::BTreeSet;

use crate::analyze::{
    replay,
    suspicions::{
        Answer, Facts,
        calls::{self, Group},
        draft::{PATTERN, suspicion},
        entries,
        independence::Independence,
        sketch::{self, Pattern},
        types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
    },
};

const RULE: (&str, Category) = ("n_plus_one_queries", Category::Architecture);
/// First words of what frames statements and asks nothing.
const FRAMES: [&str; 16] = [
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "START",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "SHOW",
    "PING",
    "AUTH",
    "HELLO",
    "SELECT 1",
    "DISCARD",
    "DEALLOCATE",
    "CLIENT",
    "RESET",
];

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let groups = calls::groups(facts);
    let stores = groups.iter().filter(|group| group.kind.is_store() && group.calls.len() >= PATTERN);
    let found: Vec<Suspicion> =
        stores.filter(|group| !is_frame(&group.operation)).filter_map(|group| of_group(facts, group)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

pub(crate) fn is_frame(operation: &str) -> bool {
    let operation = operation.trim().to_ascii_uppercase();
    FRAMES.iter().any(|frame| {
        operation == *frame || *frame != "SELECT 1" && operation.split_ascii_whitespace().next() == Some(*frame)
    })
}

/// None: nearly all have the same parameters, or nothing tells one from another.
fn of_group(facts: &Facts<'_>, group: &Group<'_>) -> Option<Suspicion> {
    let (count, name) = (group.calls.len(), calls::peer_name(facts, group.peer));
    let known: Vec<u64> = group.calls.iter().filter_map(|trip| trip.repeat).collect();
    let different = known.iter().collect::<BTreeSet<_>>().len();
    let differing = if known.is_empty() { count } else { different };
    if differing < PATTERN {
        return None;
    }
    let spans = group.spans(facts);
    let width = replay::width(&spans);
    let sequential = group.is_sequential();
    let polls = calls::sleeps_between(facts, &group.calls);
    let independence = Independence::of(&group.calls);
    let evidence = vec![
        Evidence::held_against("round trips", Value::Count(count as u64), Value::Count(PATTERN as u64)),
        Evidence::held_against("most at one time", Value::Count(width as u64), Value::Count(1)),
        Evidence::new("different parameters", Value::Count(different as u64)),
        Evidence::new("time in them", Value::Time(replay::covered(&spans))),
    ];
    let (verdict, note) = if !sequential {
        (Verdict::Dismissed, format!("up to {width} of the {count} round trips were under way at one time"))
    } else if polls {
        (Verdict::Dismissed, "the caller sleeps between them: it polls, or holds itself back".into())
    } else if !independence.is_unknown() && independence.is_a_chain() {
        let dependent = independence.dependent;
        (Verdict::Dismissed, format!("dependent: {dependent} of {count} carry what an earlier answer first brought"))
    } else {
        match entries::most_in_one(facts, &group.calls, group.place.step) {
            _ if calls::overlapped(facts, group) * 2 > count => (Verdict::Dismissed, calls::overlapped_note(count)),
            most if most < PATTERN => (Verdict::Dismissed, entries::note(most, count)),
            _ => (Verdict::Confirmed, format!("{count} times for one parent call, each after the one before")),
        }
    };
    let description = format!("{} is asked of {name} once for each item.", group.operation);
    let subject = format!("{name}: {}", group.operation);
    let mut found = suspicion(RULE, subject, Some(&group.place), (verdict, note), description, evidence);
    if verdict == Verdict::Confirmed {
        let then = replay::as_one(&spans);
        found.gain = group.place.is_waited_for().then(|| Gain {
            wall: replay::saved(&spans, then),
            basis: format!(
                "{count} round trips take {:.1} ms, one {:.1} ms",
                replay::covered(&spans).as_ms(),
                then.as_ms()
            ),
        });
        found.change = Some(sketch::change(Pattern::OneQuery, found.location.as_ref(), group.place.function()));
    }
    Some(found)
}
