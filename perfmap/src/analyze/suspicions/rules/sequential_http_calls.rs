//! Requests for one route of a peer, each sent after the answer before it. Only where a later one does not need what an
//! earlier answer brought could they be under way together.

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

const RULE: (&str, Category) = ("sequential_http_calls", Category::Architecture);
/// At a time, where the peer was not seen to answer more: what a client's pool allows by default at least.
const WIDTH: usize = 8;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let groups = calls::groups(facts);
    let (mut found, mut unread) = (Vec::new(), 0);
    for group in groups.iter().filter(|group| group.kind.is_web() && group.calls.len() >= PATTERN) {
        match of_group(facts, group) {
            Some(suspicion) => found.push(suspicion),
            None => unread += 1,
        }
    }
    match (found.is_empty(), unread) {
        (false, _) => Answer::Found(found),
        (true, 0) => Answer::Quiet,
        (true, _) => Answer::NotEnough("whether the calls need one another: their bytes were not read".into()),
    }
}

fn of_group(facts: &Facts<'_>, group: &Group<'_>) -> Option<Suspicion> {
    let (count, name) = (group.calls.len(), calls::peer_name(facts, group.peer));
    let spans = group.spans(facts);
    let width = replay::width(&spans);
    let independence = Independence::of(&group.calls);
    let mut evidence = vec![
        Evidence::held_against("calls", Value::Count(count as u64), Value::Count(PATTERN as u64)),
        Evidence::held_against("most at one time", Value::Count(width as u64), Value::Count(1)),
        Evidence::new("time in them", Value::Time(replay::covered(&spans))),
    ];
    let description = format!("Calls of {} to {name} are made one after the other.", group.operation);
    let (verdict, note) = if !group.is_sequential() {
        (Verdict::Dismissed, format!("up to {width} of the {count} calls were under way at one time"))
    } else if calls::sleeps_between(facts, &group.calls) {
        (Verdict::Dismissed, "the caller sleeps between them: it polls, or holds itself back".into())
    } else if independence.is_unknown() {
        return None;
    } else {
        evidence.push(independence.evidence());
        let Independence { dependent, .. } = independence;
        if independence.is_a_chain() {
            (
                Verdict::Dismissed,
                format!(
                    "dependent: {dependent} of {count} requests carry what an earlier answer first brought; {}",
                    independence.note()
                ),
            )
        } else {
            match entries::most_in_one(facts, &group.calls, group.place.step) {
                _ if calls::overlapped(facts, group) * 2 > count => (Verdict::Dismissed, calls::overlapped_note(count)),
                most if most < PATTERN => (Verdict::Dismissed, entries::note(most, count)),
                _ => (Verdict::Confirmed, format!("{count} calls, never two at one time; {}", independence.note())),
            }
        }
    };
    let mut found = suspicion(RULE, name, Some(&group.place), (verdict, note), description, evidence);
    if verdict == Verdict::Confirmed {
        let seen = calls::width_at(facts, group.peer);
        let wide = seen.max(WIDTH).min(count);
        let then = replay::overlapped(&spans, wide);
        found.gain = group.place.is_waited_for().then(|| Gain {
            wall: replay::saved(&spans, then),
            basis: format!(
                "{count} calls one after the other take {:.1} ms, {wide} at a time {:.1} ms{}{}",
                replay::covered(&spans).as_ms(),
                then.as_ms(),
                if seen < wide { "; the peer was not seen to answer so many at once" } else { "" },
                if independence.is_untold() { "; only if none needs a number from another's answer" } else { "" }
            ),
        });
        found.change = Some(sketch::change(Pattern::Overlap, found.location.as_ref(), group.place.function()));
    }
    Some(found)
}
