//! TLS handshakes of one process with one peer: with the server's certificate each time, though the server gives
//! tickets with which a session could be resumed. Told from the records' kinds and lengths alone; a ticket of TLS 1.3 is
//! told from data only where two of equal length come first, as OpenSSL's servers send them.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, Made},
        draft::{PATTERN, suspicion},
        rules::connection_per_request::{median, steps},
        sketch::{self, Pattern},
        types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
    },
    recording::{Direction, Event, Layer, Mark, Nanos, ProcessId, SocketId},
};

const RULE: (&str, Category) = ("tls_full_handshake", Category::ConnectionManagement);
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// What a server says in a resumed handshake takes some 300 bytes; the smallest certificate with its proof makes 600.
const WITH_CERTIFICATE: u32 = 500;
const TICKET: std::ops::RangeInclusive<u16> = 100..=1500;

/// One connection's handshake, as far as it has come.
#[derive(Debug, Default)]
struct Handshake {
    hello: Option<Nanos>,
    /// Of the server, until the client spoke again.
    server_bytes: u32,
    /// The client spoke again.
    answered: Option<Nanos>,
    /// What the server said then, in order: kinds and lengths of the first records.
    after: Vec<(u8, u16)>,
}

impl Handshake {
    fn record(&mut self, at: Nanos, direction: Direction, content: u8, length: u16) {
        match (direction, self.hello, self.answered) {
            (Direction::Sent, None, _) if content == HANDSHAKE => self.hello = Some(at),
            (Direction::Sent, Some(_), None) if self.server_bytes > 0 => self.answered = Some(at),
            (Direction::Received, Some(_), None) if matches!(content, HANDSHAKE | APPLICATION_DATA) => {
                self.server_bytes = self.server_bytes.saturating_add(length.into());
            }
            (Direction::Received, Some(_), Some(_)) if self.after.len() < 4 => self.after.push((content, length)),
            _ => {}
        }
    }

    fn is_full(&self) -> bool {
        self.server_bytes >= WITH_CERTIFICATE
    }

    fn took(&self) -> Option<Nanos> {
        Some(self.answered?.since(self.hello?))
    }

    fn offers_a_ticket(&self) -> bool {
        let of_12 = self.after.iter().any(|(content, length)| *content == HANDSHAKE && TICKET.contains(length));
        let data: Vec<u16> =
            self.after.iter().filter(|(content, _)| *content == APPLICATION_DATA).map(|(_, length)| *length).collect();
        of_12 || matches!(data.as_slice(), [a, b, ..] if a == b && TICKET.contains(a))
    }
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut handshakes: BTreeMap<SocketId, Handshake> = BTreeMap::new();
    for event in &facts.recording.events {
        let Event::Message(message) = event else { continue };
        for mark in message.marks.iter().filter(|_| message.layer == Layer::Wire) {
            if let Mark::TlsRecord { content, length } = mark {
                let of = handshakes.entry(message.socket).or_default();
                of.record(message.at, message.direction, *content, *length);
            }
        }
    }
    let mut by_client: BTreeMap<(Option<usize>, ProcessId), BTreeMap<SocketId, Made<'_>>> = BTreeMap::new();
    for made in calls::made(facts) {
        if handshakes.contains_key(&made.trip.socket)
            && let Some(task) = facts.recording.tasks.get(made.trip.task.0 as usize)
        {
            by_client.entry((made.trip.peer, task.process)).or_default().entry(made.trip.socket).or_insert(made);
        }
    }
    let mut found = Vec::new();
    for ((peer, _), first_calls) in by_client {
        let done = first_calls.iter().filter_map(|(socket, made)| Some((handshakes.get(socket)?, *made)));
        let done: Vec<(&Handshake, Made<'_>)> = done.filter(|(shake, _)| shake.took().is_some()).collect();
        found.extend(of_peer(facts, peer, &done));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_peer(facts: &Facts<'_>, peer: Option<usize>, done: &[(&Handshake, Made<'_>)]) -> Option<Suspicion> {
    if done.len() < PATTERN {
        return None;
    }
    let full: Vec<_> = done.iter().filter(|(shake, _)| shake.is_full()).collect();
    let offered = done.iter().filter(|(shake, _)| shake.offers_a_ticket()).count();
    let confirmed = full.len() * 2 > done.len() && offered * 2 > done.len();
    let name = calls::peer_name(facts, peer);
    let took = |full: bool| {
        median(done.iter().filter(|(shake, _)| shake.is_full() == full).filter_map(|(shake, _)| shake.took()).collect())
    };
    let mut evidence = vec![
        Evidence::held_against("handshakes", Value::Count(done.len() as u64), Value::Count(PATTERN as u64)),
        Evidence::held_against(
            "full ones, with a certificate",
            Value::Count(full.len() as u64),
            Value::Count(done.len() as u64 / 2),
        ),
        Evidence::new("after which the server gave tickets", Value::Count(offered as u64)),
    ];
    evidence.extend(took(true).map(|time| Evidence::new("median until the client answers", Value::Time(time))));
    let note = match (confirmed, full.len() * 2 > done.len()) {
        (false, true) => format!("{} of {} were full, but no tickets were seen", full.len(), done.len()),
        _ => format!("{} of {} handshakes were full, tickets were given in {offered}", full.len(), done.len()),
    };
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let first = done.iter().min_by_key(|(_, made)| made.trip.sent)?.1;
    let description = format!("Sessions with {name} are not resumed.");
    let mut found = suspicion(RULE, name, Some(&first.place), (verdict, note), description, evidence);
    if confirmed {
        let made: Vec<Made<'_>> = full.iter().map(|(_, made)| *made).collect();
        found.affected_steps = steps(&made);
        // What a resumed one takes is known where there was one.
        if let (Some(with), Some(without)) = (took(true), took(false))
            && first.place.is_waited_for()
        {
            let each = with.since(without);
            found.gain = Some(Gain {
                wall: Nanos(each.0.saturating_mul(full.len() as u64 - 1)),
                basis: format!("{:.2} ms for each of {} handshakes", each.as_ms(), full.len() - 1),
            });
        }
        found.change = Some(sketch::change(Pattern::ResumeSession, found.location.as_ref(), first.place.function()));
    }
    Some(found)
}
