//! Headers of MySQL's packets: three bytes of length, least first, and a number that begins at 0 with each command.

use crate::protocol::detect::{Guess, Kind};
use crate::protocol::dialogue::Side;
use crate::protocol::frames::Header;
use crate::protocol::statement::{self, MAX_SEEN};
use crate::recording::Wire;

/// A packet this long is followed by another one that goes on with it.
pub(super) const MAX_PACKET: u64 = 0x00ff_ffff;
/// The greeting's first byte.
pub(super) const PROTOCOL_10: u8 = 10;
const GREETING: std::ops::RangeInclusive<u64> = 40..=512;
const LAST_COMMAND: u8 = 0x1f;
/// Status flags of an OK lie behind two numbers of up to nine bytes.
const REPLY_KEPT: usize = 32;

fn header(bytes: &[u8], keep: usize) -> Header {
    match bytes {
        [a, b, c, number, ..] => {
            Header::Frame { kind: *number, body: u64::from(u32::from_le_bytes([*a, *b, *c, 0])), keep }
        }
        _ => Header::NeedMore,
    }
}

pub(super) fn request(bytes: &[u8]) -> Header {
    header(bytes, 1 + MAX_SEEN)
}

pub(super) fn response(bytes: &[u8]) -> Header {
    header(bytes, REPLY_KEPT)
}

/// A transfer that begins with a command.
pub(super) fn is_command(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, 0, 1..=LAST_COMMAND, ..])
}

/// A transfer that begins with the first packet of an answer.
pub(super) fn is_first_reply(bytes: &[u8]) -> bool {
    matches!(bytes, [a, b, c, 1, _, ..] if (a, b, c) != (&0, &0, &0))
}

/// The statement behind query attributes (CLIENT_QUERY_ATTRIBUTES), where there are none of them.
pub(super) fn behind_attributes(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(&[0, 1])
}

/// The server's greeting, or a COM_QUERY that begins a turn of a connection that is older than the recording.
pub(in crate::protocol) fn begins(bytes: &[u8]) -> Guess {
    let Header::Frame { kind: 0, body, .. } = header(bytes, 0) else {
        // Both are short enough for their third byte to be 0.
        let short = bytes.get(2).is_none_or(|third| *third == 0) && bytes.len() < 4;
        return if short && !bytes.is_empty() { Guess::NeedMore } else { Guess::No };
    };
    let yes = |side| Guess::Yes(Kind::Call(Wire::Mysql, side));
    match bytes.get(4..) {
        None | Some([]) if GREETING.contains(&body) => Guess::NeedMore,
        Some([PROTOCOL_10, version, ..]) if GREETING.contains(&body) && version.is_ascii_digit() => {
            yes(Side::Responses)
        }
        Some([PROTOCOL_10]) if GREETING.contains(&body) => Guess::NeedMore,
        Some([0x03, text @ ..]) => {
            let text = behind_attributes(text).unwrap_or(text);
            match statement::begins(text) {
                Some(true) => yes(Side::Requests),
                Some(false) => Guess::No,
                None if (text.len() as u64) < body.saturating_sub(1) => Guess::NeedMore,
                None => Guess::No,
            }
        }
        _ => Guess::No,
    }
}
