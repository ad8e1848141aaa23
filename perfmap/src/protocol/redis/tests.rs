use proptest::prelude::*;

use super::*;
use crate::protocol::Decoder;
use crate::protocol::dialogue::Dialogue;
use crate::protocol::recorded::{calls, cuts_change_nothing, damaged, play, sessions};
use crate::recording::Direction::{Received, Sent};
use crate::recording::{CallStep, Mark};

const RESP2: &str = include_str!("resp2.txt");
const RESP3: &str = include_str!("resp3.txt");
const PUBSUB: &str = include_str!("pubsub.txt");

fn of(text: &str, connection: usize) -> Vec<String> {
    calls(&play(&sessions(text)[connection], usize::MAX))
}

/// redis-py: single commands, a pipeline of five, a transaction, an error, nested and empty arrays.
#[test]
fn commands_pipelines_and_transactions() {
    let mut expected = vec!["failed CLIENT SETINFO"; 2];
    expected.extend(["ok SET", "ok GET", "ok GET"]);
    expected.extend(["ok INCRBY"; 5]);
    expected.extend(["ok MULTI", "ok HSET", "ok HGETALL", "ok EXEC"]);
    expected.extend(["failed LPUSH", "ok LRANGE", "ok CONFIG GET", "ok EVAL"]);
    assert_eq!(of(RESP2, 0), expected);
}

#[test]
fn maps_sets_and_numbers_of_resp3() {
    let mut expected = vec!["ok HELLO", "failed CLIENT MAINT_NOTIFICATIONS"];
    expected.extend(["failed CLIENT SETINFO"; 2]);
    expected.extend(["ok HSET", "ok HGETALL", "ok ZADD", "ok ZRANGE", "ok SADD", "ok SMEMBERS", "ok SISMEMBER"]);
    expected.extend(["ok SET", "ok GET"]);
    assert_eq!(of(RESP3, 0), expected);
}

/// Messages are no answers; a SUBSCRIBE is answered once, however many channels it names.
#[test]
fn pushes_are_not_counted() {
    let tail = ["ok SUBSCRIBE", "ok UNSUBSCRIBE", "ok PING"];
    assert_eq!(of(PUBSUB, 0)[2..], tail);
    assert_eq!(of(PUBSUB, 1)[4..], tail);
}

#[test]
fn how_the_transfers_are_cut_does_not_matter() {
    cuts_change_nothing(&[RESP2, RESP3, PUBSUB]);
}

#[test]
fn bulks_are_measured() {
    let mut decoder = Decoder::new();
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\nxxxx";
    let mut marks = decoder.feed(Sent, set, set.len() as u64 + 3000);
    marks.extend(decoder.feed(Sent, b"", 1996));
    marks.extend(decoder.feed(Sent, b"\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", 22));
    marks.extend(decoder.feed(Received, b"+OK\r\n$5000\r\n", 4000));
    marks.extend(decoder.feed(Received, b"xx", 5014 - 4000));
    assert_eq!(calls(&marks), ["ok SET", "ok GET"]);
    assert!(matches!(marks[0], Mark::Call { step: CallStep::Request { repeat: None, .. }, .. }), "not all was seen");
}

#[test]
fn lost_and_found_at_the_turn() {
    let mut decoder = Decoder::new();
    let get = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    let mut marks = decoder.feed(Sent, get, get.len() as u64);
    marks.extend(decoder.feed(Received, b"*2\r\n$10\r\n", 500));
    marks.extend(decoder.feed(Received, b"+OK\r\n", 5));
    assert_eq!(calls(&marks), ["lost", "open ok GET"]);
    marks.clear();
    marks.extend(decoder.feed(Sent, get, get.len() as u64));
    marks.extend(decoder.feed(Received, b"$1\r\n7\r\n", 7));
    assert_eq!(calls(&marks), ["ok GET"]);
}

#[test]
fn answers_that_are_switched_off() {
    let mut decoder = Decoder::new();
    let turn = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*1\r\n$4\r\nINFO\r\n*1\r\n$4\r\nPING\r\n\
        *3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\nping\r\n*3\r\n$6\r\nclient\r\n$5\r\nreply\r\n$2\r\non\r\n";
    let mut marks = decoder.feed(Sent, turn, turn.len() as u64);
    marks.extend(decoder.feed(Received, b"+PONG\r\n+OK\r\n", 12));
    assert_eq!(calls(&marks), ["ok PING", "ok CLIENT REPLY"]);
}

#[test]
fn inline_commands_and_attributes() {
    let mut decoder = Decoder::new();
    let asked = b"PING\r\n\r\nset key secret\r\nGET key\n";
    let answered = b"+PONG\r\n+OK\r\n|1\r\n+ttl\r\n:3\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n*0\r\n";
    let mut marks = decoder.feed(Sent, asked, asked.len() as u64);
    marks.extend(decoder.feed(Received, answered, answered.len() as u64));
    assert_eq!(calls(&marks), ["ok PING", "ok SET", "ok GET"]);
    assert!(!format!("{marks:?}").contains("secret"));
}

proptest! {
    #[test]
    fn total_on_damaged_sessions((transfers, most) in damaged(&[RESP2, RESP3, PUBSUB])) {
        let marks = format!("{:?}", play(&transfers, most));
        prop_assert!(!marks.contains("secret"), "{}", marks);
    }

    #[test]
    fn total_on_any_bytes(turns in proptest::collection::vec((any::<bool>(), "[*$+:%|>~\\-0-9\r\nA-Z_]{0,40}"), 0..12)) {
        let mut connection = turns::Connection::new(Reader::new(RunKey::default()));
        let mut marks = Vec::new();
        for (asks, text) in turns.iter().filter(|(_, text)| !text.is_empty()) {
            let side = if *asks { Side::Requests } else { Side::Responses };
            connection.feed(side, text.as_bytes(), text.len() as u64 + u64::from(text.len() % 3 == 0), &mut marks);
        }
    }
}
