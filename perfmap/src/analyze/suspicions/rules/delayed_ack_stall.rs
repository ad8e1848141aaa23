//! A request in two writes whose second part is held back until the first is acknowledged, and an acknowledgement that
//! waits for 40 ms because there is no answer yet (RFC 896 meets RFC 1122): answers that come just that late.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, Group},
        draft::suspicion,
        rules::connection_per_request::median,
        sketch::{self, Pattern},
        types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
    },
    recording::{Direction, Event, Layer, Nanos, SocketId},
};

const RULE: (&str, Category) = ("delayed_ack_stall", Category::Environment);
/// Linux's shortest delay of an acknowledgement (TCP_DELACK_MIN), and what a busy machine adds.
const STALL: std::ops::Range<Nanos> = Nanos(36_000_000)..Nanos(60_000_000);
const THE_DELAY: Nanos = Nanos(40_000_000);
/// Times that it is no chance.
const TIMES: usize = 3;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut transfers: BTreeMap<SocketId, Vec<(Nanos, Direction)>> = BTreeMap::new();
    for event in &facts.recording.events {
        if let Event::Message(message) = event
            && message.layer == Layer::Wire
            && message.bytes > 0
        {
            transfers.entry(message.socket).or_default().push((message.at, message.direction));
        }
    }
    let groups = calls::groups(facts);
    let found: Vec<Suspicion> = groups
        .iter()
        .filter(|group| group.kind.is_web() || group.kind.is_store())
        .filter_map(|group| of_group(facts, group, &transfers))
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_group(
    facts: &Facts<'_>,
    group: &Group<'_>,
    transfers: &BTreeMap<SocketId, Vec<(Nanos, Direction)>>,
) -> Option<Suspicion> {
    let writes = |socket: SocketId, from: Nanos, to: Nanos| {
        let all = transfers.get(&socket).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|(at, _)| *at < from);
        let during = all[first..].iter().take_while(|(at, _)| *at < to);
        during.take_while(|(_, direction)| *direction == Direction::Sent).count()
    };
    let in_two: Vec<Nanos> = group
        .calls
        .iter()
        .filter(|trip| writes(trip.socket, trip.sent, trip.received) >= 2)
        .map(|trip| trip.latency())
        .collect();
    if in_two.len() < TIMES {
        return None;
    }
    let stalled: Vec<Nanos> = in_two.iter().copied().filter(|latency| STALL.contains(latency)).collect();
    // The first exchanges of a connection are acknowledged at once; the others all wait, or it is not this.
    let confirmed = stalled.len() >= TIMES && stalled.len() * 2 > in_two.len();
    let name = calls::peer_name(facts, group.peer);
    let usual = median(in_two.clone()).unwrap_or_default();
    let evidence = vec![
        Evidence::new("requests in two writes or more", Value::Count(in_two.len() as u64)),
        Evidence::held_against(
            "of them answered after some 40 ms",
            Value::Count(stalled.len() as u64),
            Value::Count(TIMES as u64),
        ),
        Evidence::new("median until the answer", Value::Time(usual)),
    ];
    let note = format!(
        "{} of {} requests in two writes were answered after 36 to 60 ms, {:.1} ms in the median",
        stalled.len(),
        in_two.len(),
        usual.as_ms()
    );
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let description = format!("Requests to {name} are sent in several writes.");
    let mut found = suspicion(RULE, name, Some(&group.place), (verdict, note), description, evidence);
    if confirmed {
        // Without the stall they would take as long as the fastest one that was not held back, if there is one.
        let at_once = in_two.iter().copied().filter(|latency| *latency < STALL.start).min();
        let saved = |latency: &Nanos| at_once.map_or(THE_DELAY, |at_once| latency.since(at_once));
        let wall: Nanos = stalled.iter().map(|latency| saved(latency).min(*latency)).sum();
        found.gain =
            group.place.is_waited_for().then(|| Gain { wall, basis: format!("{} stalls of 40 ms", stalled.len()) });
        found.change = Some(sketch::change(Pattern::OneWrite, found.location.as_ref(), group.place.function()));
    }
    Some(found)
}
