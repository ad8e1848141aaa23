//! Connections that a process made to a peer, beside the requests that it made on them. What had to be open at one time
//! was needed; a connection of a process that makes few requests is that process's price, not the client's fault.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay,
        suspicions::{
            Answer, Facts,
            calls::{self, Made, Place},
            draft::{PATTERN, suspicion},
            sketch::{self, Pattern},
            types::{Category, Evidence, Gain, Value, Verdict},
        },
    },
    correlate::RoundTrip,
    recording::{Nanos, ProcessId, SocketId, TcpState},
};

const RULE: (&str, Category) = ("connection_per_request", Category::ConnectionManagement);
const MOST_PER_REQUEST: f64 = 0.5;

/// The calls of one peer by those processes that made enough of them.
#[derive(Default)]
struct OfPeer<'a> {
    made: Vec<Made<'a>>,
    connections: usize,
    needed: usize,
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut by_client: BTreeMap<(Option<usize>, ProcessId), Vec<Made<'_>>> = BTreeMap::new();
    for made in calls::made(facts) {
        let kind = made.trip.protocol.kind();
        if let Some(task) = facts.recording.tasks.get(made.trip.task.0 as usize)
            && (kind.is_web() || kind.is_store())
        {
            by_client.entry((made.trip.peer, task.process)).or_default().push(made);
        }
    }
    let mut by_peer: BTreeMap<Option<usize>, OfPeer<'_>> = BTreeMap::new();
    for ((peer, _), made) in by_client.into_iter().filter(|(_, made)| made.len() >= PATTERN) {
        let trips: Vec<&RoundTrip> = made.iter().map(|made| made.trip).collect();
        let of_peer = by_peer.entry(peer).or_default();
        of_peer.connections += trips.iter().map(|trip| trip.socket).collect::<BTreeSet<_>>().len();
        of_peer.needed += replay::width(&calls::spans(facts, &trips));
        of_peer.made.extend(made);
    }
    let found: Vec<_> = by_peer.into_iter().map(|(peer, of_peer)| of_peer.judged(facts, peer)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

impl OfPeer<'_> {
    fn judged(&self, facts: &Facts<'_>, peer: Option<usize>) -> crate::analyze::suspicions::Suspicion {
        let OfPeer { made, connections, needed } = self;
        let requests = made.len();
        let ratio = *connections as f64 / requests as f64;
        let avoidable = connections.saturating_sub(*needed);
        let confirmed = ratio > MOST_PER_REQUEST && avoidable * 2 > *connections;
        let name = calls::peer_name(facts, peer);
        let opened = self.opened(facts);
        let mut evidence = vec![
            Evidence::new("connections", Value::Count(*connections as u64)),
            Evidence::new("requests", Value::Count(requests as u64)),
            Evidence::held_against("connections per request", Value::Ratio(ratio), Value::Ratio(MOST_PER_REQUEST)),
            Evidence::new("most requests at one time", Value::Count(*needed as u64)),
        ];
        let usual = median(opened.iter().map(|(_, length)| *length).collect());
        if let Some(usual) = usual {
            evidence.push(Evidence::new("from connect to the request, median", Value::Time(usual)));
        }
        let note = match confirmed {
            true => format!("{connections} connections for {requests} requests, at most {needed} at one time"),
            false if ratio > MOST_PER_REQUEST => {
                format!(
                    "{connections} connections for {requests} requests, of which {needed} were under way at one time"
                )
            }
            false => format!("{connections} connection(s), {requests} requests"),
        };
        let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
        let place = most_used(&opened).unwrap_or(made[0].place);
        let ended = self.ended_by_peer(facts);
        if confirmed && ended > 0 {
            evidence.push(Evidence::new("closed by the peer first", Value::Count(ended as u64)));
        }
        let description = format!("A connection is made for each request to {name}.");
        let mut found = suspicion(RULE, name, Some(&place), (verdict, note), description, evidence);
        if confirmed {
            found.affected_steps = steps(made);
            // With the shortest time from an answer to its connection's close: others may have worked in between.
            let usual = usual.map(|usual| usual.plus(self.closing(facts)));
            let cost: Nanos = usual.map_or(Nanos::ZERO, |usual| Nanos(usual.0.saturating_mul(avoidable as u64)));
            let waited = place.is_waited_for();
            found.gain = (waited && cost > Nanos::ZERO).then(|| Gain {
                wall: cost,
                basis: format!(
                    "{avoidable} connections, each {:.2} ms to its request and for its end",
                    usual.unwrap_or_default().as_ms()
                ),
            });
            let pattern = if ended * 2 > *connections { Pattern::KeepOpen } else { Pattern::KeepConnection };
            found.change = Some(sketch::change(pattern, found.location.as_ref(), place.function()));
        }
        found
    }

    /// A connection that is closed only behind the next request (a collector of garbage does that, or the process's end)
    /// held nothing up.
    fn closing(&self, facts: &Facts<'_>) -> Nanos {
        let closes = self.made.windows(2).filter_map(|pair| {
            let closed = facts.recording.sockets.get(pair[0].trip.socket.0 as usize)?.closed?;
            let between = closed >= pair[0].trip.received && closed <= pair[1].trip.sent;
            between.then(|| closed.since(pair[0].trip.received))
        });
        closes.min().unwrap_or_default()
    }

    /// How many of them the other end closed first, before the next request: it keeps none open, or was asked not to. Only
    /// of peers whose end was seen as well; at its own end a service closes all that are left.
    fn ended_by_peer(&self, facts: &Facts<'_>) -> usize {
        let closing = |socket: SocketId| {
            let states = &facts.recording.sockets.get(socket.0 as usize)?.states;
            states.iter().find(|change| change.to == TcpState::Closing).map(|change| change.at)
        };
        let ended = |pair: &&[Made<'_>]| {
            let (made, next) = (pair[0].trip, pair[1].trip);
            let ends = closing(made.socket).zip(made.server_socket.and_then(closing));
            ends.is_some_and(|(own, other)| other < own && other <= next.sent)
        };
        self.made.windows(2).filter(ended).count()
    }

    /// The first request on each connection whose connect was seen, and how long after the connect's beginning.
    fn opened(&self, facts: &Facts<'_>) -> Vec<(Made<'_>, Nanos)> {
        let mut seen: BTreeSet<SocketId> = BTreeSet::new();
        let firsts = self.made.iter().filter(|made| seen.insert(made.trip.socket));
        firsts
            .filter_map(|made| {
                let socket = facts.recording.sockets.get(made.trip.socket.0 as usize)?;
                let began = socket.states.iter().find(|change| change.to == TcpState::SynSent)?;
                Some((*made, made.trip.sent.since(began.at)))
            })
            .collect()
    }
}

/// Where most connections were opened; of equals the first.
fn most_used<'a>(opened: &[(Made<'a>, Nanos)]) -> Option<Place<'a>> {
    let mut places: Vec<(Place<'a>, usize)> = Vec::new();
    for (made, _) in opened {
        match places.iter_mut().find(|(place, _)| place.id() == made.place.id()) {
            Some((_, count)) => *count += 1,
            None => places.push((made.place, 1)),
        }
    }
    let most = places.iter().map(|(_, count)| *count).max()?;
    places.into_iter().find(|(_, count)| *count == most).map(|(place, _)| place)
}

pub(crate) fn steps(made: &[Made<'_>]) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for id in made.iter().flat_map(|made| made.place.id()) {
        if !steps.contains(&id) {
            steps.push(id);
        }
    }
    steps.sort();
    steps
}

pub(crate) fn median(mut values: Vec<Nanos>) -> Option<Nanos> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}
