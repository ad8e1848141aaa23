use proptest::prelude::*;

use super::*;
use crate::protocol::recorded::{calls, cuts_change_nothing, damaged, play, say, sessions, short};
use crate::protocol::{Decoder, Verdict};
use crate::recording::Direction::{Received, Sent};

const PYMYSQL: &str = include_str!("pymysql.txt");
const CLIENT: &str = include_str!("cli.txt");
const CONNECTOR: &str = include_str!("connector.txt");

fn of(text: &str) -> Vec<String> {
    calls(&play(&sessions(text)[0], usize::MAX))
}

/// An empty packet, and bytes behind it that look like a query's: its length is below that of its first byte.
#[test]
fn an_empty_packet_begins_nothing() {
    let mut decoder = Decoder::default();
    decoder.feed(Sent, b"\0\0\0\0\x03SEL", 8);
    assert_ne!(decoder.verdict(), Verdict::Calls(Wire::Mysql));
}

/// Many results of one query are one call; what is not among the server's `Questions` is none.
#[test]
fn queries_in_text() {
    let mut expected = vec!["ok SET NAMES utf8mb4", "ok SET AUTOCOMMIT = ?", "ok drop table if exists t"];
    expected.push("ok create table t (id int, name varchar(?))");
    expected.extend(["ok insert into t values (?)"; 3]);
    expected.extend(["ok COMMIT", "ok select id, name from t where name in (?) or id < ?"]);
    expected.extend(["ok select ?; select ?; update t set name = ?", "failed select nothing from nowhere"]);
    expected.extend(["ok USE", "ok ROLLBACK"]);
    assert_eq!(of(PYMYSQL), expected);
}

#[test]
fn the_command_line_client() {
    let found = of(CLIENT);
    let tail =
        ["ok prepare s from ?", "ok set @a = ?", "ok execute s using @a", "ok deallocate prepare s", "ok show tables"];
    assert!(found.ends_with(&tail.map(str::to_owned)), "{found:?}");
}

#[test]
fn prepared_statements_and_binary_rows() {
    let found = of(CONNECTOR);
    let mut tail = vec!["ok select id, name from t where id = ?"; 3];
    tail.extend(["ok insert into t values (?)", "ok COMMIT", "ok select ? as a union select ?"]);
    let tail: Vec<String> = tail.into_iter().map(str::to_owned).collect();
    assert!(found.ends_with(&tail), "{found:?}");
}

#[test]
fn how_the_transfers_are_cut_does_not_matter() {
    cuts_change_nothing(&[PYMYSQL, CLIENT, CONNECTOR]);
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (body.len() as u32).to_le_bytes();
    [&[a, b, c, number], body].concat()
}

/// From the login on; what the client can do.
fn begun(capabilities: u32) -> Decoder {
    let mut decoder = Decoder::new();
    let greeting = packet(0, &[&b"\x0a8.0.1\0"[..], &[1; 60]].concat());
    let login = packet(1, &[&capabilities.to_le_bytes()[..], &[0; 40]].concat());
    for (way, bytes) in [(Received, greeting), (Sent, login), (Received, packet(2, &[0, 0, 0, 2, 0, 0, 0]))] {
        assert_eq!(decoder.feed(way, &bytes, bytes.len() as u64), []);
    }
    assert_eq!(decoder.verdict(), Verdict::Calls(Wire::Mysql));
    decoder
}

const EOF: &[u8] = &[0xfe, 0, 0, 2, 0];

fn answer(without_eof: bool) -> Vec<u8> {
    let last: &[u8] = if without_eof { &[0xfe, 0, 0, 2, 0, 0, 0] } else { EOF };
    let mut packets: Vec<&[u8]> = vec![&[1], b"\x03def\0\0\0\x01a"];
    if !without_eof {
        packets.push(EOF);
    }
    packets.extend([b"\x011".as_slice(), b"\xfb", last]);
    (1..).zip(packets).flat_map(|(number, body)| packet(number, body)).collect()
}

#[test]
fn with_and_without_eof() {
    for (capabilities, without_eof) in [(0, false), (CLIENT_DEPRECATE_EOF, true)] {
        let mut decoder = begun(capabilities);
        let mut marks = Vec::new();
        for _ in 0..3 {
            let ask = packet(0, b"\x03SELECT a FROM t");
            marks.extend(decoder.feed(Sent, &ask, ask.len() as u64));
            let answer = answer(without_eof);
            marks.extend(decoder.feed(Received, &answer, answer.len() as u64));
        }
        assert_eq!(calls(&marks), ["ok SELECT a FROM t"; 3]);
    }
    // A connection older than the recording: it shows behind the definitions.
    for without_eof in [false, true] {
        let mut decoder = Decoder::new();
        let ask = packet(0, b"\x03select a from t");
        let mut marks = decoder.feed(Sent, &ask, ask.len() as u64);
        let answer = answer(without_eof);
        marks.extend(decoder.feed(Received, &answer, answer.len() as u64));
        assert_eq!(calls(&marks), ["ok select a from t"]);
    }
}

#[test]
fn packets_of_16_mib_and_local_files() {
    let mut decoder = begun(0);
    let mut marks = decoder.feed(Sent, b"\xff\xff\xff\0\x03INSERT INTO t VALUES ('x", 4 + 0x00ff_ffff);
    let rest = packet(1, b"xx')");
    marks.extend(decoder.feed(Sent, &rest, rest.len() as u64));
    let ok = packet(1, &[0, 1, 0, 2, 0, 0, 0]);
    marks.extend(decoder.feed(Received, &ok, ok.len() as u64));
    let ask = packet(0, b"\x03LOAD DATA LOCAL INFILE '/secret' INTO TABLE t");
    marks.extend(decoder.feed(Sent, &ask, ask.len() as u64));
    let ask = packet(1, b"\xfb/secret");
    marks.extend(decoder.feed(Received, &ask, ask.len() as u64));
    let data = [packet(2, b"\x03select secret"), packet(3, b"")].concat();
    marks.extend(decoder.feed(Sent, &data, data.len() as u64));
    let done = packet(4, &[0, 1, 0, 2, 0, 0, 0]);
    marks.extend(decoder.feed(Received, &done, done.len() as u64));
    assert_eq!(calls(&marks), ["ok INSERT INTO t VALUES (? …", "ok LOAD DATA LOCAL INFILE ? INTO TABLE t"]);
    // Refused: the server says so at once.
    let ask = packet(0, b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t");
    let mut marks = decoder.feed(Sent, &ask, ask.len() as u64);
    let refused = packet(1, b"\xff\x8c\x0f#42000no");
    marks.extend(decoder.feed(Received, &refused, refused.len() as u64));
    assert_eq!(calls(&marks), ["failed LOAD DATA LOCAL INFILE ? INTO TABLE t"]);
}

#[test]
fn lost_and_found_at_the_turn() {
    let mut decoder = begun(0);
    let ask = packet(0, b"\x03SELECT a FROM t");
    let mut marks = decoder.feed(Sent, &ask, ask.len() as u64);
    let answer = answer(false);
    marks.extend(decoder.feed(Received, &answer[..20], 90_000));
    marks.extend(decoder.feed(Received, &answer[7..], answer.len() as u64 - 7));
    assert_eq!(calls(&marks), ["lost", "open ok SELECT a FROM t"]);
    let mut marks = decoder.feed(Sent, &ask, ask.len() as u64);
    marks.extend(decoder.feed(Received, &answer, answer.len() as u64));
    assert_eq!(calls(&marks), ["ok SELECT a FROM t"]);
}

/// Each is found when the other has spoken; neither waits for the other to be found first.
#[test]
fn both_directions_lost() {
    let mut decoder = begun(0);
    let ask = packet(0, b"\x03SELECT a FROM t");
    decoder.feed(Sent, &ask, ask.len() as u64 + 20);
    decoder.feed(Received, &answer(false)[..20], 90_000);
    let mut marks = Vec::new();
    for _ in 0..2 {
        marks.extend(decoder.feed(Sent, &ask, ask.len() as u64));
        marks.extend(decoder.feed(Received, &answer(false), answer(false).len() as u64));
    }
    assert_eq!(calls(&marks), ["ok SELECT a FROM t"; 2]);
}

/// Small packets lie in their frames as they are; one frame can hold many packets, one packet many frames.
#[test]
fn compressed_frames() {
    use super::compressed::tests::frame;
    let mut decoder = begun(CLIENT_COMPRESS);
    let ask = packet(0, b"\x03SELECT a FROM t");
    let long = packet(0, &[b"\x03INSERT INTO t VALUES ('", &[b'x'; 9000][..], b"')"].concat());
    let (first, second) = long.split_at(5000);
    let ok = packet(1, &[0, 1, 0, 2, 0, 0, 0]);
    let turns = [
        (Sent, frame(0, &ask, false), 0),
        (Received, frame(0, &answer(false), true), 0),
        (Sent, [frame(0, first, true), frame(1, second, true)].concat(), 0),
        (Received, frame(0, &ok, false), 0),
        (Sent, frame(0, &ask, false), 0),
        // The header of a second frame is not captured.
        (Received, frame(0, &answer(false)[..9], true), 70_000),
        (Sent, frame(0, &ask, false), 0),
        (Received, frame(0, &answer(false), true), 0),
    ];
    let found = calls(&say(&mut decoder, &turns));
    let select = "ok SELECT a FROM t";
    // Nobody asks on who was not answered: the pairing of marks knows that.
    assert_eq!(found, [select, "ok INSERT INTO t VALUES (? …", "lost", select, "open ? SELECT a FROM t"]);
}

#[test]
fn what_cannot_be_followed() {
    let greeting = packet(0, &[&b"\x0a5.5.5\0"[..], &[1; 60]].concat());
    for (capabilities, length, verdict) in [(CLIENT_ZSTD, 60, Verdict::Opaque), (CLIENT_SSL, 32, Verdict::Undecided)] {
        let mut decoder = Decoder::new();
        decoder.feed(Received, &greeting, greeting.len() as u64);
        let login = packet(1, &[&u32::to_le_bytes(capabilities)[..], &vec![0; length - 4]].concat());
        decoder.feed(Sent, &login, login.len() as u64);
        assert_eq!(decoder.verdict(), verdict);
    }
    let mut decoder = begun(0);
    decoder.feed(Sent, &packet(0, &[0x12, 0, 0]), 7);
    assert_eq!(decoder.verdict(), Verdict::Opaque);
}

proptest! {
    #[test]
    fn total_on_damaged_sessions((transfers, most) in damaged(&[PYMYSQL, CLIENT, CONNECTOR])) {
        prop_assert!(short(&play(&transfers, most)));
    }

    #[test]
    fn total_on_any_packets(
        packets in proptest::collection::vec((any::<bool>(), 0_u8..4, proptest::collection::vec(any::<u8>(), 0..12)), 0..20)
    ) {
        let mut decoder = begun(0);
        for (asks, number, body) in packets {
            let bytes = packet(number, &body);
            decoder.feed(if asks { Sent } else { Received }, &bytes, bytes.len() as u64);
        }
    }
}
