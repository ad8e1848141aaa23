//! A connection that began in a known way, then any transfers: each is two bytes of control, then its captured bytes.

use perfmap::{
    protocol::Decoder,
    recording::Direction::{self, Received, Sent},
};

pub fn play(begun: &[(Direction, &[u8])], bytes: &[u8]) {
    let mut decoder = Decoder::new();
    for (direction, bytes) in begun {
        decoder.feed(*direction, bytes, bytes.len() as u64);
    }
    let mut rest = bytes;
    while let [control, length, tail @ ..] = rest {
        let (captured, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let direction = if control & 1 == 0 { Sent } else { Received };
        decoder.feed(direction, captured, captured.len() as u64 + u64::from(control >> 1));
        rest = next;
    }
    decoder.closed();
}
