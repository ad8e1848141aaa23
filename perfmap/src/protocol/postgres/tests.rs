use proptest::prelude::*;

use super::*;
use crate::protocol::recorded::{calls, cuts_change_nothing, damaged, play, say, sessions, short};
use crate::protocol::{Decoder, Verdict};
use crate::recording::Direction::{self, Received, Sent};
use crate::recording::{CallStep, Mark};

const SIMPLE: &str = include_str!("simple.txt");
const EXTENDED: &str = include_str!("extended.txt");
const ASYNCPG: &str = include_str!("asyncpg.txt");

fn of(text: &str) -> Vec<String> {
    calls(&play(&sessions(text)[0], usize::MAX))
}

/// psycopg2: everything in simple queries. The server logged these ten lines as `statement:`.
#[test]
fn simple_queries() {
    assert_eq!(
        of(SIMPLE),
        [
            "ok BEGIN",
            "ok drop table if exists t",
            "ok create table t (id int, name text)",
            "ok insert into t values (?)",
            "ok select id, name from t where id in (?)",
            "ok select ?; select ?",
            "ok COMMIT",
            "ok BEGIN",
            "failed select nothing from nowhere where x = ?",
            "ok ROLLBACK",
        ]
    );
}

/// psycopg 3: unnamed, then prepared after the fifth time; a pipeline, one with an error, COPY both ways.
#[test]
fn extended_queries() {
    let mut expected = vec!["ok select name from t where id = ?"; 8];
    expected.push("failed select ?/?");
    expected.extend(["ok insert into t values (?)"; 3]);
    expected.extend(["failed select ?::int/?::int", "abandoned select ?::int + ?"]);
    expected.extend(["ok copy t from stdin", "ok copy t to stdout"]);
    assert_eq!(of(EXTENDED), expected);
}

/// asyncpg: prepares by itself, many Executes before a Sync, portals that are read in parts.
#[test]
fn named_statements_and_portals() {
    let mut expected = vec!["ok select ?", "ok select name from t where id = ?"];
    expected.extend(["ok insert into t values (?)"; 3]);
    expected.push("ok BEGIN");
    expected.extend(["ok select generate_series(?)"; 4]);
    expected.push("ok COMMIT");
    assert_eq!(of(ASYNCPG), expected);
}

#[test]
fn how_the_transfers_are_cut_does_not_matter() {
    cuts_change_nothing(&[SIMPLE, EXTENDED, ASYNCPG]);
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

fn begun() -> Decoder {
    let mut decoder = Decoder::new();
    let startup = [&[0, 0, 0, 16, 0, 3, 0, 0][..], b"user\0u\0\0"].concat();
    assert_eq!(decoder.feed(Sent, &startup, startup.len() as u64), []);
    assert_eq!(decoder.verdict(), Verdict::Calls(Wire::Postgres));
    decoder
}

fn all(decoder: &mut Decoder, turns: &[(Direction, Vec<u8>, u64)]) -> Vec<String> {
    calls(&say(decoder, turns))
}

#[test]
fn lengths_carry_over_what_was_not_captured() {
    let row = message(b'D', &[b'x'; 50]);
    let mut long = message(b'Q', &[b"insert into t values ('", &[b'x'; 300][..], b"')\0"].concat());
    long[3] += 16; // the length: 4,096 more than there is
    let done = [message(b'C', b"INSERT 0 1\0"), message(b'Z', b"I")].concat();
    let big = [message(b'T', b"\0\0"), [b"D\0\0\x10\x04".as_slice(), &[b'x'; 96]].concat()].concat();
    let rest = [vec![], row, message(b'C', b"SELECT 2\0"), message(b'Z', b"I")].concat();
    let turns = [
        (Sent, long, 4096),
        (Received, done, 0),
        (Sent, message(b'Q', b"select a\0"), 0),
        (Received, big, 4000),
        (Received, rest, 0),
    ];
    assert_eq!(all(&mut begun(), &turns), ["ok insert into t values (?) …", "ok select a"]);
}

#[test]
fn lost_in_rows_and_found_at_the_turn() {
    let rows = [message(b'T', b"\0\0"), message(b'D', b"\0\0"), message(b'D', &[b'x'; 10])].concat();
    let answer = [message(b'T', b"\0\0"), message(b'C', b"SELECT 0\0"), message(b'Z', b"I")].concat();
    let turns = [
        (Sent, message(b'Q', b"select a\0"), 0),
        (Received, rows, 10_000),
        (Received, b"xDxxxxxxxxxx".to_vec(), 4000),
        (Sent, message(b'Q', b"select b\0"), 0),
        (Received, answer, 0),
    ];
    // `flows` knows that the client would not have gone on without the answer.
    let marks: Vec<CallStep> = say(&mut begun(), &turns)
        .into_iter()
        .filter_map(|mark| match mark {
            Mark::Call { step: CallStep::Request { .. } | CallStep::RequestEnd, .. } => None,
            Mark::Call { step, .. } => Some(step),
            _ => None,
        })
        .collect();
    let response = CallStep::Response { status: None, failed: false };
    assert_eq!(marks, [response.clone(), CallStep::Desync, response, CallStep::ResponseEnd]);
}

#[test]
fn answers_to_what_was_not_captured_are_counted() {
    let execute = [message(b'B', b"\0s\0\0\0\0\0\0\0"), message(b'E', b"\0\0\0\0\0")].concat();
    let done = [message(b'2', b""), message(b'C', b"INSERT 0 1\0")].concat();
    let turns = [
        (Sent, execute.clone(), execute.len() as u64 * 2 + 5),
        (Received, [done.repeat(3), message(b'Z', b"I")].concat(), 0),
    ];
    let mut found = all(&mut begun(), &turns);
    found.sort();
    assert_eq!(found, ["lost", "ok -", "ok unasked", "ok unasked"]);
}

#[test]
fn encryption_and_what_cannot_be_followed() {
    let ask = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    let mut decoder = Decoder::new();
    decoder.feed(Sent, &ask, 8);
    decoder.feed(Received, b"S", 1);
    let hello = [22, 3, 1, 0, 200];
    assert_eq!(decoder.feed(Sent, &hello, 205), [Mark::TlsRecord { content: 22, length: 200 }]);
    let mut decoder = Decoder::new();
    decoder.feed(Sent, &[0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2], 16);
    assert_eq!(decoder.verdict(), Verdict::Opaque);
    let mut decoder = begun();
    decoder.feed(Sent, &message(b'Q', b"START_REPLICATION SLOT s LOGICAL 0/0\0"), 42);
    decoder.feed(Received, &message(b'W', b"\0\0\0"), 8);
    assert_eq!(decoder.verdict(), Verdict::Opaque);
}

#[test]
fn a_connection_older_than_the_recording() {
    let answer = [message(b'T', b"\0\0"), message(b'C', b"SELECT 0\0"), message(b'Z', b"I")].concat();
    let turns = [(Sent, message(b'Q', b"Select a\0"), 0), (Received, answer, 0)];
    assert_eq!(all(&mut Decoder::new(), &turns), ["ok Select a"]);
}

#[test]
fn equal_statements_with_equal_parameters_repeat() {
    let marks = play(&sessions(EXTENDED)[0], usize::MAX);
    let keys: Vec<u64> = marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Call { step: CallStep::Request { repeat, .. }, .. } => *repeat,
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 16);
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 16, "all parameters differ");
    let mut decoder = begun();
    let ask = message(b'Q', b"select a\0");
    let mut key = || match decoder.feed(Sent, &ask, ask.len() as u64).swap_remove(0) {
        Mark::Call { step: CallStep::Request { repeat, .. }, .. } => repeat.unwrap(),
        mark => panic!("{mark:?}"),
    };
    assert_eq!(key(), key());
}

proptest! {
    #[test]
    fn total_on_damaged_sessions((transfers, most) in damaged(&[SIMPLE, EXTENDED, ASYNCPG])) {
        prop_assert!(short(&play(&transfers, most)));
    }
}
