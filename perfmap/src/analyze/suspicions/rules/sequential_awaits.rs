//! What one function of an event loop awaits at several peers or routes, one after the other, though none of them needs
//! what another one brought. Calls are taken in rounds: a round ends where the function asks for the same again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{
            Answer, Facts,
            calls::{self, Made, Place},
            draft::suspicion,
            independence::Independence,
            sketch::{self, Language, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::RoundTrip,
    map::{Location, Step},
    recording::{Nanos, TaskId},
    resolve::ANONYMOUS,
};

const RULE: (&str, Category) = ("sequential_awaits", Category::AsyncPatterns);
/// Fewer are no structure.
const LEAST: usize = 3;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let loops: BTreeSet<TaskId> = facts.recording.turns.iter().map(|turn| turn.task).collect();
    let (stacks, all) = (Stacks::new(facts), calls::made(facts));
    let mut lines: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for made in &all {
        if let (Some(step), Some(stack)) = (made.place.step, made.trip.stack) {
            lines.entry(step.id.as_str()).or_default().extend(stacks.line_in(stack, step));
        }
    }
    let above = above(facts);
    type Key<'k> = (&'k str, Option<&'k Location>, Option<usize>, TaskId);
    let mut by_parent: BTreeMap<Key<'_>, (Vec<&Step>, Vec<Made<'_>>)> = BTreeMap::new();
    for made in all.into_iter().filter(|made| made.trip.protocol.kind().is_web()) {
        let Some(step) = made.place.step else { continue };
        let script = is_script(step);
        if !loops.contains(&made.trip.task) && !script {
            continue;
        }
        // A function that calls at one line only is called for each of the calls: the one above it awaits them.
        let at_one_line = lines.get(step.id.as_str()).is_none_or(|lines| lines.len() < 2);
        let caller = if script { named(step, &above) } else { step };
        let parent = if at_one_line { above.get(caller.id.as_str()).copied().unwrap_or(caller) } else { caller };
        // What a script's function does after its first await is not below those that called it: two steps are one function.
        let one =
            if script { (parent.function.as_str(), parent.location.as_ref()) } else { (parent.id.as_str(), None) };
        let key = (one.0, one.1, made.parent, made.trip.task);
        let (parents, of_parents) = by_parent.entry(key).or_default();
        if !parents.iter().any(|known| known.id == parent.id) {
            parents.push(parent);
        }
        of_parents.push(made);
    }
    let mut found: Vec<Suspicion> = Vec::new();
    for (parents, made) in by_parent.into_values() {
        found.extend(of_parents(facts, &parents, &made));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// By step: the one that called it.
fn above<'a>(facts: &Facts<'a>) -> BTreeMap<&'a str, &'a Step> {
    let mut found = BTreeMap::new();
    calls::walk(&facts.map.steps, None, &mut |step, above| {
        found.extend(above.map(|above| (step.id.as_str(), above)));
    });
    found
}

fn is_script(step: &Step) -> bool {
    step.location.as_ref().is_some_and(|at| Language::of(&at.file) == Language::JavaScript)
}

/// The function that has it: what a closure without a name does, as that of a new promise, is its work.
fn named<'a>(step: &'a Step, above: &BTreeMap<&str, &'a Step>) -> &'a Step {
    let mut named = step;
    while named.function == ANONYMOUS
        && let Some(next) = above.get(named.id.as_str()).filter(|next| is_script(next))
    {
        named = next;
    }
    named
}

/// `parents`: the steps of one function.
fn of_parents(facts: &Facts<'_>, parents: &[&Step], made: &[Made<'_>]) -> Option<Suspicion> {
    let parent = *parents.iter().max_by_key(|step| step.wall)?;
    let trips: Vec<&RoundTrip> = made.iter().map(|made| made.trip).collect();
    let kinds: BTreeSet<_> = trips.iter().map(|trip| what(trip)).collect();
    if trips.len() < LEAST || kinds.len() < 2 {
        return None;
    }
    let spans = calls::spans(facts, &trips);
    let rounds = rounds(&trips);
    let several: Vec<&[usize]> = rounds.iter().map(Vec::as_slice).filter(|round| round.len() > 1).collect();
    if several.is_empty() || trips.len() < LEAST {
        return None;
    }
    let sequential = replay::after_one_another(&spans) + 1 == spans.len();
    let (mut chained, mut unread, mut now, mut then) = (0, 0, Nanos::ZERO, Nanos::ZERO);
    for round in &several {
        let of_round: Vec<&RoundTrip> = round.iter().map(|index| trips[*index]).collect();
        let of_spans: Vec<Span> = round.iter().map(|index| spans[*index]).collect();
        let independence = Independence::of(&of_round);
        if independence.is_unknown() {
            unread += 1;
        } else if independence.dependent > 0 {
            chained += 1;
        } else {
            now = now.plus(replay::covered(&of_spans));
            then = then.plus(replay::overlapped(&of_spans, of_spans.len()));
        }
    }
    if sequential && unread * 2 > several.len() {
        return None;
    }
    let width = replay::width(&spans);
    let evidence = vec![
        Evidence::new("calls", Value::Count(trips.len() as u64)),
        Evidence::held_against("most at one time", Value::Count(width as u64), Value::Count(1)),
        Evidence::held_against(
            "rounds in which a request carries what an earlier answer first brought",
            Value::Count(chained as u64),
            Value::Count(several.len() as u64 / 2),
        ),
    ];
    let whole = Independence::of(&trips);
    let (verdict, note) = if !sequential {
        (Verdict::Dismissed, format!("up to {width} of the {} calls were under way at one time", trips.len()))
    } else if chained * 2 > several.len() {
        (Verdict::Dismissed, format!("dependent: in {chained} of {} rounds one needs another's answer", several.len()))
    } else {
        (
            Verdict::Confirmed,
            format!("{} calls in {} round(s), never two at one time; {}", trips.len(), several.len(), whole.note()),
        )
    };
    let place = Place { step: Some(parent), above: None };
    let description = format!("{} awaits calls that do not need one another one after the other.", parent.function);
    let mut found = suspicion(RULE, parent.function.clone(), Some(&place), (verdict, note), description, evidence);
    found.affected_steps = parents.iter().map(|step| step.id.clone()).collect();
    if verdict == Verdict::Confirmed {
        found.gain = parents.iter().any(|step| !step.beside).then(|| Gain {
            wall: now.since(then),
            basis: format!("one after the other {:.1} ms, together {:.1} ms", now.as_ms(), then.as_ms()),
        });
        found.change = Some(sketch::change(Pattern::Gather, found.location.as_ref(), &parent.function));
    }
    Some(found)
}

fn what(trip: &RoundTrip) -> (Option<usize>, Option<&str>, Option<&str>) {
    (trip.peer, trip.method.as_deref(), trip.route.as_deref())
}

/// Indices of the calls of each round.
fn rounds(trips: &[&RoundTrip]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, trip) in trips.iter().enumerate() {
        if rounds.is_empty() || !seen.insert(what(trip)) {
            rounds.push(Vec::new());
            seen = BTreeSet::from([what(trip)]);
        }
        if let Some(round) = rounds.last_mut() {
            round.push(index);
        }
    }
    rounds
}
