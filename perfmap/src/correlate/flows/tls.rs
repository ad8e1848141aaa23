//! The TLS records of one socket end, in order → turns: application data from the client, then from the server. What
//! the turns carried cannot be seen, so they are inferred round trips.
//!
//! TLS 1.3 hides its handshake in application-data records: the server's flight, the client's Finished, the session
//! tickets, and later the alert that closes. None of these may open a turn.

use super::Protocol;
use super::exchange::{Exchange, Outcome};
use crate::recording::{Direction, Mark, Message, Nanos};

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// A 1.3 Finished: 4 bytes of header, a hash of 32 or 48, the content type, a tag of 16 (of 8 for AES-128-CCM-8).
const FINISHED: [u16; 3] = [53, 69, 45];
/// A client's 1.3 flight with a certificate: Certificate, CertificateVerify, Finished. Behind so many records without
/// one of Finished's length it is taken to be over.
const FLIGHT: u32 = 4;
/// A 1.2 Finished is 16 bytes, 40 to 96 when encrypted; a hello after a retry is longer.
const ENCRYPTED_FINISHED: u16 = 100;
/// A 1.3 alert: 2 bytes, the content type, a tag.
const ALERT: u16 = 19;

#[derive(Debug)]
pub(super) struct Turns {
    /// Where the client's records go.
    pub client: Direction,
    /// Answered turns only: a last record without an answer need not be a request.
    pub exchanges: Vec<Exchange>,
    /// From the client's hello to the last record of the handshake.
    pub handshake: Option<Nanos>,
}

/// None: no record was seen. `known`: the client's direction, where somebody else knows it; else the first hello's.
pub(super) fn read(messages: &[&Message], known: Option<Direction>) -> Option<Turns> {
    let first = |wanted: Option<u8>| {
        messages.iter().find(|message| {
            message.marks.iter().any(|mark| match mark {
                Mark::TlsRecord { content, .. } => wanted.is_none_or(|wanted| *content == wanted),
                _ => false,
            })
        })
    };
    first(None)?;
    let hello = first(Some(HANDSHAKE));
    let client = known.or(hello.map(|hello| hello.direction)).unwrap_or(Direction::Sent);
    let mut reader = Reader { client, handshake_seen: hello.is_some(), ..Reader::new(client) };
    for message in messages {
        reader.message(message);
    }
    if reader.answered {
        reader.turn_over();
    }
    let handshake = hello.zip(reader.last_handshake).map(|(hello, last)| last.since(hello.at));
    // A handshake that did not come to data is not one.
    let handshake = handshake.filter(|_| reader.handshake_over());
    Some(Turns { client, exchanges: reader.exchanges, handshake })
}

#[derive(Debug)]
struct Reader {
    client: Direction,
    handshake_seen: bool,
    lanes: [Lane; 2],
    /// An encrypted 1.2 Finished was seen.
    version_12: bool,
    client_finished: bool,
    client_flight: u32,
    last_handshake: Option<Nanos>,
    turn: Option<Exchange>,
    answered: bool,
    exchanges: Vec<Exchange>,
}

#[derive(Debug, Default)]
struct Lane {
    cipher_changed: bool,
    /// The last record begun was data, so bytes without a new record are its body.
    carries_data: bool,
    lost: bool,
}

impl Reader {
    fn new(client: Direction) -> Reader {
        Reader {
            client,
            handshake_seen: false,
            lanes: Default::default(),
            version_12: false,
            client_finished: false,
            client_flight: 0,
            last_handshake: None,
            turn: None,
            answered: false,
            exchanges: Vec::new(),
        }
    }

    fn handshake_over(&self) -> bool {
        self.version_12 || self.client_finished
    }

    fn message(&mut self, message: &Message) {
        let from_client = message.direction == self.client;
        let (mut records, mut data) = (false, false);
        for mark in &message.marks {
            match mark {
                Mark::TlsRecord { content, length } => {
                    records = true;
                    let is_data = self.record(from_client, *content, *length, message.at);
                    data |= is_data;
                    let lane = &mut self.lanes[usize::from(from_client)];
                    (lane.carries_data, lane.lost) = (is_data, false);
                }
                Mark::TlsDesync => self.lanes[usize::from(from_client)].lost = true,
                Mark::Upgraded | Mark::Call { .. } | Mark::Tokens { .. } => {}
            }
        }
        let lane = &self.lanes[usize::from(from_client)];
        if !records && message.bytes > 0 {
            // Bytes in a gap are data once the handshake is over: headers were lost in it, not the turn.
            data = lane.carries_data || (lane.lost && (self.handshake_over() || !self.handshake_seen));
        }
        match (data, from_client) {
            (false, _) => {}
            (true, true) => {
                if self.answered {
                    self.turn_over();
                }
                let turn = self.turn.get_or_insert_with(|| Exchange::opened(message, Protocol::Tls));
                turn.request_bytes = turn.request_bytes.saturating_add(message.bytes);
            }
            (true, false) => {
                if let Some(turn) = &mut self.turn {
                    self.answered = true;
                    turn.received = message.at;
                    turn.response_bytes = turn.response_bytes.saturating_add(message.bytes);
                }
            }
        }
    }

    /// Whether a record carries the application's data.
    fn record(&mut self, from_client: bool, content: u8, length: u16, at: Nanos) -> bool {
        let lane = &mut self.lanes[usize::from(from_client)];
        match content {
            CHANGE_CIPHER_SPEC => {
                lane.cipher_changed = true;
                self.last_handshake = Some(at);
                false
            }
            HANDSHAKE => {
                self.version_12 |= lane.cipher_changed && length <= ENCRYPTED_FINISHED;
                if self.turn.is_none() && self.exchanges.is_empty() {
                    self.last_handshake = Some(at);
                }
                false
            }
            APPLICATION_DATA if self.version_12 || !self.handshake_seen => self.version_12 || length != ALERT,
            APPLICATION_DATA if self.client_finished => length != ALERT,
            APPLICATION_DATA => {
                self.last_handshake = Some(at);
                if from_client {
                    self.client_flight += 1;
                    self.client_finished = FINISHED.contains(&length) || self.client_flight >= FLIGHT;
                }
                false
            }
            _ => false,
        }
    }

    fn turn_over(&mut self) {
        self.answered = false;
        if let Some(turn) = self.turn.take() {
            self.exchanges.push(Exchange { outcome: Outcome::Answered, ..turn });
        }
    }
}
