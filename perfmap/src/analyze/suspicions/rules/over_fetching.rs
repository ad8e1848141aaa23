//! Connections that are closed with much in them that nobody took: the answer was larger than what was wanted of it. Only
//! what had arrived by then is counted; what the program took and threw away itself is not seen.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, Place},
        draft::suspicion,
        sketch_resources::{self, Pattern},
        stacks::Stacks,
        types::{Category, Evidence, Suspicion, Value, Verdict},
    },
    recording::{Address, Event, ProcessId, Role, SocketId},
};

const RULE: (&str, Category) = ("over_fetching", Category::DataFlow);
const CONNECTIONS: u64 = 3;
/// Less than that is a rest of a protocol.
const BYTES: u64 = 64 * 1024;
/// Arrived, for each byte that was read.
const FAR_ABOVE: f64 = 2.0;

struct Left<'a> {
    place: Option<Place<'a>>,
    connections: u64,
    unread: u64,
    read: u64,
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let recording = facts.recording;
    if recording.files.unread.is_empty() {
        return Answer::Quiet;
    }
    let places = places(facts);
    let mut left: BTreeMap<(ProcessId, String), Left<'_>> = BTreeMap::new();
    for unread in &recording.files.unread {
        let Some(socket) = recording.sockets.get(unread.socket.0 as usize) else { continue };
        // What a client sends and nobody reads is the client's.
        if socket.role == Role::Server {
            continue;
        }
        let place = places.get(&unread.socket).copied();
        let address =
            |of: Address| SocketAddr::new(IpAddr::V6(Ipv6Addr::from(of.ip)).to_canonical(), of.port).to_string();
        let peer = socket.remote.map_or_else(|| "an unknown peer".to_owned(), address);
        let of = left.entry((socket.process, peer)).or_insert(Left { place, connections: 0, unread: 0, read: 0 });
        of.place = of.place.or(place);
        of.connections += 1;
        of.unread = of.unread.saturating_add(unread.bytes);
        of.read = of.read.saturating_add(socket.received_bytes);
    }
    let enough = left.into_iter().filter(|(_, of)| of.connections >= CONNECTIONS && of.unread >= BYTES);
    let found: Vec<Suspicion> = enough.map(|((_, peer), of)| of_peer(&peer, &of)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// Where something was asked of each connection.
fn places<'a>(facts: &Facts<'a>) -> BTreeMap<SocketId, Place<'a>> {
    let mut places: BTreeMap<SocketId, Place<'a>> = BTreeMap::new();
    for made in calls::made(facts) {
        places.entry(made.trip.socket).or_insert(made.place);
    }
    let stacks = Stacks::new(facts);
    for event in &facts.recording.events {
        if let Event::Message(message) = event
            && let Some(step) = message.stack.and_then(|stack| stacks.step(stack))
        {
            places.entry(message.socket).or_insert(Place { step: Some(step), above: None });
        }
    }
    places
}

fn of_peer(peer: &str, of: &Left<'_>) -> Suspicion {
    let arrived = of.read.saturating_add(of.unread);
    let ratio = arrived as f64 / of.read.max(1) as f64;
    let confirmed = ratio >= FAR_ABOVE;
    let evidence = vec![
        Evidence::held_against("connections closed unread", Value::Count(of.connections), Value::Count(CONNECTIONS)),
        Evidence::new("bytes read from them", Value::Bytes(of.read)),
        Evidence::held_against("bytes that nobody took", Value::Bytes(of.unread), Value::Bytes(BYTES)),
        Evidence::held_against("bytes that came for each that was read", Value::Ratio(ratio), Value::Ratio(FAR_ABOVE)),
    ];
    let share = of.unread as f64 * 100.0 / arrived.max(1) as f64;
    let note = format!("{share:.0} % of what {} connections brought was in them when they were closed", of.connections);
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let function = of.place.as_ref().map_or(calls::OUTSIDE, Place::function).to_owned();
    let description = format!("{function} asks {peer} for more than it reads.");
    let mut found = suspicion(RULE, peer.to_owned(), of.place.as_ref(), (verdict, note), description, evidence);
    if confirmed {
        found.change = Some(sketch_resources::change(Pattern::AskForLess, found.location.as_ref(), &function));
    }
    found
}
