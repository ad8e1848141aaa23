//! Any datagrams of a socket that speaks DNS, and any transfers of a connection that does. Each is two bytes of control, then its captured bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{protocol::Decoder, recording::Direction};

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::datagrams(Direction::Sent);
    let mut stream = Decoder::name_server(Direction::Sent);
    let mut rest = bytes;
    while let [control, length, tail @ ..] = rest {
        let (captured, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let direction = if control & 1 == 0 { Direction::Sent } else { Direction::Received };
        for decoder in [&mut decoder, &mut stream] {
            decoder.feed(direction, captured, captured.len() as u64 + u64::from(control >> 1));
        }
        rest = next;
    }
    decoder.closed();
});
