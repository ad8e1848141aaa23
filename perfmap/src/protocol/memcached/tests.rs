use proptest::prelude::*;

use super::*;
use crate::protocol::Decoder;
use crate::protocol::dialogue::Dialogue;
use crate::protocol::recorded::{calls, cuts_change_nothing, damaged, play, sessions, short};
use crate::recording::Direction::{Received, Sent};

const PYMEMCACHE: &str = include_str!("pymemcache.txt");

/// pymemcache: what asks for no answer is no call.
#[test]
fn commands_of_a_client() {
    let found = |connection: usize| calls(&play(&sessions(PYMEMCACHE)[connection], usize::MAX));
    // Behind an error it connects again.
    assert_eq!(found(0), ["ok set", "ok get", "ok get", "ok get", "ok incr", "failed incr"]);
    assert_eq!(found(1), ["ok delete", "ok add", "ok gets", "ok cas", "ok version", "ok stats", "ok touch"]);
}

#[test]
fn how_the_transfers_are_cut_does_not_matter() {
    cuts_change_nothing(&[PYMEMCACHE]);
}

fn said(turns: &[(bool, &str, u64)]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut marks = Vec::new();
    for (asks, text, missing) in turns {
        let way = if *asks { Sent } else { Received };
        marks.extend(decoder.feed(way, text.as_bytes(), text.len() as u64 + missing));
    }
    assert!(!format!("{marks:?}").contains("secret"));
    calls(&marks)
}

#[test]
fn meta_commands_and_pipelines() {
    let found = said(&[
        (true, "mg secret v\r\nms secret 2\r\nhi\r\nmg secret q\r\nmg secret v q\r\nmn\r\nget a b\r\n", 0),
        (false, "VA 2\r\nEN\r\nHD\r\nMN\r\nVALUE a 0 3\r\nEND\r\nEND\r\n", 0),
    ]);
    assert_eq!(found, ["ok mg", "ok ms", "ok mn", "ok get"]);
}

#[test]
fn data_is_measured_and_gaps_are_said() {
    let found = said(&[
        (true, "set secret 0 0 5000\r\nxx", 4998),
        (true, "\r\nget secret\r\n", 0),
        (false, "STORED\r\nVALUE secret 0 5000\r\n", 4000),
        (false, "\r\n", 1000),
        (false, "END\r\n", 0),
        (true, "stats\r\n", 0),
        (false, "STAT a 1\r\n", 5000),
        (true, "get secret\r\n", 0),
        (false, "END\r\n", 0),
    ]);
    assert_eq!(found[..3], ["ok set", "ok get", "lost"]);
}

proptest! {
    #[test]
    fn total_on_any_lines(
        lines in proptest::collection::vec((any::<bool>(), "(get|set|mg|VALUE|END|incr|)[ a-z0-9]{0,12}\r?\n?", 0_u64..20), 0..20)
    ) {
        let mut connection = turns::Connection::new(Reader::new(RunKey::default()));
        for (asks, line, missing) in lines.iter().filter(|(_, line, _)| !line.is_empty()) {
            let side = if *asks { Side::Requests } else { Side::Responses };
            connection.feed(side, line.as_bytes(), line.len() as u64 + missing, &mut Vec::new());
        }
    }

    #[test]
    fn total_on_damaged_sessions((transfers, most) in damaged(&[PYMEMCACHE])) {
        prop_assert!(short(&play(&transfers, most)));
    }
}
