//! Sessions with real servers, as a relay between client and server saw them: one transfer a line, `>` from the client,
//! `<` from the server, in hexadecimal. An empty line ends a connection.

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

/// The same bytes in transfers of `size`.
pub fn cut(transfers: &[(Direction, Vec<u8>)], size: usize) -> Transfers {
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
