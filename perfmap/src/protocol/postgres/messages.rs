//! Headers of PostgreSQL's messages: a type and a length that counts itself; without a type at the very beginning.

use crate::protocol::detect::{Guess, Kind};
use crate::protocol::dialogue::Side;
use crate::protocol::frames::Header;
use crate::protocol::statement::MAX_SEEN;
use crate::recording::Wire;

/// The server's own limit on a message (PQ_LARGE_MESSAGE_LIMIT).
const MAX_MESSAGE: u32 = 0x3fff_ffff;
/// And on a startup packet (MAX_STARTUP_PACKET_LENGTH).
const MAX_STARTUP: u32 = 10_000;
/// Names of a portal and a statement in front of what is wanted.
const NAMES: usize = 2 * 64;

pub(super) const STARTUP: u8 = 0;
/// SSLRequest, GSSENCRequest.
pub(super) const ENCRYPTION: u8 = 1;
pub(super) const CANCEL: u8 = 2;

const REQUESTS: &[u8] = b"QPBEDCSHFdcfpX";
const RESPONSES: &[u8] = b"RSKZTDCIEN123ntsGHWVAdcv";

pub(super) fn startup(bytes: &[u8]) -> Header {
    let Some(header) = bytes.first_chunk::<8>() else {
        return if bytes.iter().take(2).all(|byte| *byte == 0) { Header::NeedMore } else { Header::Bad };
    };
    let [a, b, c, d, e, f, g, h] = *header;
    let (length, code) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    let kind = match (code, length) {
        (80_877_102, 16..=268) => CANCEL,
        (80_877_103 | 80_877_104, 8) => ENCRYPTION,
        // 3.0, 3.2, and what asks for a later one.
        (0x0003_0000..=0x0003_ffff, 9..=MAX_STARTUP) => STARTUP,
        _ => return Header::Bad,
    };
    Header::Frame { kind, body: u64::from(length - 8), keep: 0 }
}

pub(super) fn request(bytes: &[u8]) -> Header {
    typed(bytes, REQUESTS, |kind| match kind {
        b'Q' | b'P' | b'B' => NAMES + MAX_SEEN,
        b'E' | b'C' => NAMES,
        _ => 0,
    })
}

pub(super) fn response(bytes: &[u8]) -> Header {
    match typed(bytes, RESPONSES, |_| 0) {
        // The one that everything hangs on.
        Header::Frame { kind: b'Z', body, .. } if body != 1 => Header::Bad,
        header => header,
    }
}

fn typed(bytes: &[u8], kinds: &[u8], keep: fn(u8) -> usize) -> Header {
    let Some(kind) = bytes.first() else { return Header::NeedMore };
    if !kinds.contains(kind) {
        return Header::Bad;
    }
    let Some([a, b, c, d]) = bytes.get(1..).and_then(<[u8]>::first_chunk::<4>) else { return Header::NeedMore };
    match u32::from_be_bytes([*a, *b, *c, *d]) {
        length @ 4..=MAX_MESSAGE => Header::Frame { kind: *kind, body: u64::from(length - 4), keep: keep(*kind) },
        _ => Header::Bad,
    }
}

/// A connection's first bytes, or a Query or Parse that begins a turn of one that is older than the recording.
pub(in crate::protocol) fn begins(bytes: &[u8]) -> Guess {
    let yes = Guess::Yes(Kind::Call(Wire::Postgres, Side::Requests));
    match startup(bytes) {
        Header::Frame { .. } => return yes,
        Header::NeedMore => return Guess::NeedMore,
        Header::Bad => {}
    }
    let text = match (bytes.first(), request(bytes)) {
        (Some(b'Q'), Header::Frame { .. }) => bytes.get(5..).unwrap_or_default(),
        (Some(b'P'), Header::Frame { .. }) => {
            let named = bytes.get(5..).unwrap_or_default();
            let name = named.iter().take(64).take_while(|byte| byte.is_ascii_graphic()).count();
            match named.get(name) {
                Some(0) => &named[name + 1..],
                Some(_) => return Guess::No,
                None => return Guess::NeedMore,
            }
        }
        (Some(b'Q' | b'P'), Header::NeedMore) => return Guess::NeedMore,
        _ => return Guess::No,
    };
    match super::statement::begins(text) {
        Some(true) => yes,
        Some(false) => Guess::No,
        None => Guess::NeedMore,
    }
}
