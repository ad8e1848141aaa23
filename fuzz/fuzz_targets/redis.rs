//! Any transfers of a connection that began with Redis. Each is two bytes of control, then its captured bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{protocol::Decoder, recording::Direction};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new();
    decoder.feed(Direction::Sent, b"PING\r\n", 6);
    let mut rest = bytes;
    while let [control, length, tail @ ..] = rest {
        let (captured, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let direction = if control & 1 == 0 { Direction::Sent } else { Direction::Received };
        decoder.feed(direction, captured, captured.len() as u64 + u64::from(control >> 1));
        rest = next;
    }
    decoder.closed();
});
