use proptest::prelude::*;

use super::*;
use crate::protocol::Decoder;
use crate::protocol::recorded::calls;
use crate::recording::Direction::{Received, Sent};

fn query(id: u8, name: &[&str], kind: u8) -> Vec<u8> {
    let mut bytes = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, kind, 0, 1]);
    bytes
}

fn answer(query: &[u8], code: u8) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2] |= 0x80;
    bytes[3] = 0x80 | code;
    bytes
}

/// What glibc sends for one name: two questions, answered in any order; and a name that does not exist.
#[test]
fn datagrams() {
    let mut decoder = Decoder::datagrams(Sent);
    let (a, aaaa) = (query(7, &["db", "example", "org"], 1), query(9, &["db", "example", "org"], 28));
    let none = query(7, &["none"], 255);
    let mut marks = Vec::new();
    for (way, bytes) in [
        (Sent, a.clone()),
        (Sent, aaaa.clone()),
        (Received, answer(&aaaa, 0)),
        (Received, answer(&a, 0)),
        (Sent, none.clone()),
        (Received, answer(&none, 3)),
        (Received, b"short".to_vec()),
    ] {
        marks.extend(decoder.feed(way, &bytes, bytes.len() as u64));
    }
    assert_eq!(calls(&marks), ["ok AAAA db.example.org", "ok A db.example.org", "failed TYPE255 none"]);
    let mut server = Decoder::datagrams(Received);
    assert_eq!(calls(&server.feed(Received, &a, a.len() as u64)), ["open ? A db.example.org"]);
}

#[test]
fn over_tcp_a_length_goes_before() {
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let a = query(7, &["a"], 1);
    let mut connection = Connection::stream();
    let mut marks = Vec::new();
    let asked = [framed(a.clone()), framed(query(8, &["b"], 1))].concat();
    for byte in asked {
        connection.feed(Side::Requests, &[byte], 1, &mut marks);
    }
    let answered = framed(answer(&a, 0));
    connection.feed(Side::Responses, &answered, answered.len() as u64, &mut marks);
    assert_eq!(calls(&marks), ["ok A a", "open ? A b"]);
}

proptest! {
    #[test]
    fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), requests in any::<bool>()) {
        let side = if requests { Side::Requests } else { Side::Responses };
        for mut connection in [Connection::Datagrams, Connection::stream()] {
            connection.feed(side, &bytes, bytes.len() as u64 + 1, &mut Vec::new());
        }
    }
}
