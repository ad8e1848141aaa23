//! Sessions with real servers, as a relay between client and server saw them: one transfer a line, `>` from the client,
//! `<` from the server, in hexadecimal. An empty line ends a connection. And the laws that hold for each protocol.

use proptest::prelude::*;

use super::Decoder;
use crate::recording::{CallStep, Direction, Mark};

pub type Transfers = Vec<(Direction, Vec<u8>)>;

pub fn sessions(text: &str) -> Vec<Transfers> {
    text.split("\n\n").map(|session| session.lines().map(transfer).collect()).collect()
}

fn transfer(line: &str) -> (Direction, Vec<u8>) {
    let (way, hex) = line.split_once(' ').unwrap();
    let direction = if way == ">" { Direction::Sent } else { Direction::Received };
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    (direction, bytes.collect())
}

/// Each transfer captured up to `most` bytes.
pub fn play(transfers: &[(Direction, Vec<u8>)], most: usize) -> Vec<Mark> {
    let mut decoder = Decoder::new();
    let mut marks: Vec<Mark> = transfers
        .iter()
        .flat_map(|(direction, bytes)| decoder.feed(*direction, &bytes[..bytes.len().min(most)], bytes.len() as u64))
        .collect();
    marks.extend(decoder.closed());
    marks
}

/// Marks are the same wherever the transfers are cut.
pub fn cuts_change_nothing(texts: &[&str]) {
    for session in texts.iter().flat_map(|text| sessions(text)) {
        let whole = plain(play(&session, usize::MAX));
        for size in [1, 2, 3, 4, 5, 7, 64, 1000] {
            assert_eq!(plain(play(&cut(&session, size), usize::MAX)), whole, "{size}");
        }
    }
}

/// A first connection, cut anywhere, with some bytes replaced; how many of each transfer were captured.
pub fn damaged(texts: &'static [&'static str]) -> impl Strategy<Value = (Transfers, usize)> {
    let damage = proptest::collection::vec((any::<usize>(), any::<u8>()), 0..10);
    (0..texts.len(), 1_usize..200, 0_usize..200, damage).prop_map(|(which, size, most, damage)| {
        let mut transfers = cut(&sessions(texts[which])[0], size);
        for (at, byte) in damage {
            let count = transfers.len();
            let bytes = &mut transfers[at % count].1;
            let count = bytes.len();
            bytes[at % count] = byte;
        }
        (transfers, most)
    })
}

/// What is kept of requests is bounded.
pub fn short(marks: &[Mark]) -> bool {
    marks.iter().all(|mark| match mark {
        Mark::Call { step: CallStep::Request { operation, .. }, .. } => {
            operation.as_ref().is_none_or(|operation| operation.len() <= 300)
        }
        _ => true,
    })
}

/// Any bytes as one side says them, some of them not captured.
pub fn say(decoder: &mut Decoder, turns: &[(Direction, impl AsRef<[u8]>, u64)]) -> Vec<Mark> {
    let feed = |(way, bytes, missing): &(Direction, _, u64)| {
        let bytes: &[u8] = AsRef::as_ref(bytes);
        decoder.feed(*way, bytes, bytes.len() as u64 + missing)
    };
    turns.iter().flat_map(feed).collect()
}

/// The same bytes in transfers of `size`.
fn cut(transfers: &[(Direction, Vec<u8>)], size: usize) -> Transfers {
    let pieces = |(way, bytes): &(Direction, Vec<u8>)| -> Transfers {
        bytes.chunks(size.max(1)).map(|piece| (*way, piece.to_vec())).collect()
    };
    transfers.iter().flat_map(pieces).collect()
}

/// Without the keyed hashes, which differ from run to run.
pub fn plain(mut marks: Vec<Mark>) -> Vec<Mark> {
    for mark in &mut marks {
        if let Mark::Call { step: CallStep::Request { repeat, .. }, .. } = mark {
            *repeat = None;
        }
    }
    marks
}

/// What was asked, and in which state it ended: `ok`, `failed`, `abandoned`; `?` where it had no end, `lost` for a gap.
pub fn calls(marks: &[Mark]) -> Vec<String> {
    let mut waiting: std::collections::VecDeque<(u32, String, &str)> = Default::default();
    let mut done = Vec::new();
    for mark in marks {
        let Mark::Call { stream, step, .. } = mark else { continue };
        let at = waiting.iter().position(|(of, ..)| of == stream);
        match (step, at) {
            (CallStep::Request { method: _, operation, host: _, repeat: _ }, _) => {
                waiting.push_back((*stream, operation.clone().unwrap_or("-".into()), "?"));
            }
            (CallStep::RequestEnd, _) => {}
            (CallStep::Desync, _) => done.push("lost".to_owned()),
            (CallStep::Response { failed, .. }, Some(at)) => waiting[at].2 = if *failed { "failed" } else { "ok" },
            (CallStep::Response { .. }, None) => waiting.push_back((*stream, "unasked".into(), "ok")),
            (CallStep::ResponseEnd, at) => {
                let (_, operation, how) = at.and_then(|at| waiting.remove(at)).unwrap();
                done.push(format!("{how} {operation}"));
            }
            (CallStep::Abandoned, at) => {
                let (_, operation, _) = at.and_then(|at| waiting.remove(at)).unwrap();
                done.push(format!("abandoned {operation}"));
            }
        }
    }
    done.extend(waiting.into_iter().map(|(_, operation, how)| format!("open {how} {operation}")));
    done
}
