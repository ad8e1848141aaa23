//! Connections whose TLS was not read → why, one note for each program: the figures that stand on them are inferred.

use std::collections::{BTreeMap, BTreeSet};

use super::tls_libraries::Outcome;
use crate::recording::{Direction, Event, Layer, Mark, Recording, SocketId};

const APPLICATION_DATA: u8 = 23;
/// 1.3 says the end of a connection, on which nothing may have been asked, in a record of this length: two bytes, the true
/// content type, a tag.
const ALERT: u16 = 19;

/// `library`: what came of the TLS library that a process mapped.
pub fn notes(recording: &Recording, library: impl Fn(u32) -> Option<Outcome>) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for socket in unread(recording) {
        let process = recording.process(recording.socket(socket).process);
        let name = process.images.last().map_or("", |image| image.comm.as_str());
        let why = match library(process.pid) {
            Some(Ok(())) => {
                "its library was probed too late for the connection, or the calls were not tied to it".to_owned()
            }
            Some(Err(why)) => why,
            None => {
                "no file that it maps has the functions of OpenSSL, GnuTLS, Go or rustls 0.23 with symbols (stripped programs have none)"
                    .to_owned()
            }
        };
        notes.insert(format!("TLS of {name} was not decrypted: {why}"));
    }
    notes.into_iter().collect()
}

/// Sockets on which both sides sent data in TLS, and whose plaintext was not seen.
fn unread(recording: &Recording) -> Vec<SocketId> {
    let mut records: BTreeMap<SocketId, [u32; 2]> = BTreeMap::new();
    let mut read = BTreeSet::new();
    for event in &recording.events {
        let Event::Message(message) = event else { continue };
        if message.layer == Layer::Plaintext {
            read.insert(message.socket);
            continue;
        }
        let data = message
            .marks
            .iter()
            .filter(|mark| matches!(mark, Mark::TlsRecord { content: APPLICATION_DATA, length } if *length > ALERT));
        let sums = records.entry(message.socket).or_default();
        sums[usize::from(message.direction == Direction::Sent)] += data.count() as u32;
    }
    // A client's 1.3 handshake ends with one such record.
    records.retain(|socket, sums| sums.iter().all(|sum| *sum > 1) && !read.contains(socket));
    records.into_keys().collect()
}
