//! The first bytes of a transfer → whether they are HTTP/2 frames, and whose. The client's preface is looked for with
//! HTTP/1, which it resembles; here are servers that speak first, and connections that are older than the recording.

use super::{
    frame::{self, HEADER, Header, Kind},
    hpack::Table,
};
use crate::{
    protocol::{
        detect::{Guess, Kind as Begun},
        dialogue::Side,
    },
    recording::Wire,
};

/// A server's first frame has few settings: each is six bytes.
const MOST_SETTINGS: u32 = 16 * 6;
/// Settings that are defined, and those that gRPC and greasing made up.
const DEFINED: u16 = 0x20;
const MADE_UP: u16 = 0x0a0a;

pub(in crate::protocol) fn begins(bytes: &[u8]) -> Guess {
    let yes = |side| Guess::Yes(Begun::Call(Wire::Http2, side));
    let Some((first, payload)) = bytes.split_first_chunk::<HEADER>() else {
        // Every frame that is looked for is short, and of a kind that is known.
        let fits = |at: usize, most: u8| bytes.get(at).is_none_or(|byte| *byte <= most);
        return if fits(0, 0) && fits(1, 0x40) && fits(3, 9) { Guess::NeedMore } else { Guess::No };
    };
    let Some(headers) = frame::chain(bytes) else { return Guess::No };
    match Header::read(first) {
        Some(header) if header.kind == Kind::Settings && !header.acknowledges() => {
            let settings = payload.chunks_exact(6).take(header.length as usize / 6);
            let known = settings.map(|setting| u16::from_be_bytes([setting[0], setting[1]]));
            let plausible = header.length <= MOST_SETTINGS
                && known.into_iter().all(|id| (1..DEFINED).contains(&id) || id >= MADE_UP);
            return if plausible { yes(Side::Responses) } else { Guess::No };
        }
        Some(_) | None => {}
    }
    // Behind any other frame: a head says who speaks.
    let mut rest = bytes;
    for header in headers {
        let payload = &rest[HEADER.min(rest.len())..];
        if header.kind == Kind::Headers {
            let Some((block, missing)) = header.block(&payload[..payload.len().min(header.length as usize)]) else {
                return Guess::No;
            };
            let fields = Table::joined().read(block, missing || !header.ends_headers());
            return match (fields.method.is_some() || fields.path.is_some(), fields.status) {
                (true, None) => yes(Side::Requests),
                (false, Some(_)) => yes(Side::Responses),
                (false, None) if missing => Guess::NeedMore,
                (true, Some(_)) | (false, None) => Guess::No,
            };
        }
        rest = payload.get(header.length as usize..).unwrap_or_default();
    }
    Guess::No
}
