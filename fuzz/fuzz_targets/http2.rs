//! Any transfers of a connection that began with HTTP/2, was joined, or was upgraded. Each is two bytes of control, then
//! its captured bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{protocol::Decoder, recording::Direction};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const ASKS: &[u8] = b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
const AGREES: &[u8] = b"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
/// A head of a request: the streams that follow are joined.
const JOINED: &[u8] = &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86];

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new();
    let (mut fed, mut said) = (0, 0);
    let mut feed = |direction, captured: &[u8], missing: u64| {
        fed += captured.len();
        said += decoder.feed(direction, captured, captured.len() as u64 + missing).len();
        // A frame's header has nine bytes, and no stream has more than seven marks.
        assert!(said <= 8 + fed);
    };
    let [begins, bytes @ ..] = bytes else { return };
    match begins % 4 {
        0 => feed(Direction::Sent, PREFACE, 0),
        1 => feed(Direction::Sent, JOINED, 0),
        2 => {
            feed(Direction::Sent, ASKS, 0);
            feed(Direction::Received, AGREES, 0);
        }
        _ => {}
    }
    let mut rest = bytes;
    while let [control, length, tail @ ..] = rest {
        let (captured, next) = tail.split_at(tail.len().min(usize::from(*length)));
        let direction = if control & 1 == 0 { Direction::Sent } else { Direction::Received };
        feed(direction, captured, u64::from(control >> 1));
        rest = next;
    }
    decoder.closed();
});
