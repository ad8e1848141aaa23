//! Any statement, sent by a PostgreSQL and by a MySQL client: what is kept of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::{
    protocol::Decoder,
    recording::{CallStep, Direction, Mark},
};

fuzz_target!(|text: &[u8]| {
    let postgres = [&b"Q"[..], &(text.len() as u32 + 4).to_be_bytes(), text].concat();
    let mysql = [&(text.len() as u32 + 1).to_le_bytes()[..3], &[0, 3], text].concat();
    let begun = [
        (&b"\0\0\0\x10\0\x03\0\0user\0u\0\0"[..], postgres),
        (b"\x0e\0\0\0\x03SELECT a + b", mysql),
    ];
    for (first, message) in begun {
        let mut decoder = Decoder::new();
        decoder.feed(Direction::Sent, first, first.len() as u64);
        for mark in decoder.feed(Direction::Sent, &message, message.len() as u64) {
            if let Mark::Call { step: CallStep::Request { operation: Some(operation), .. }, .. } = mark {
                assert!(operation.len() <= 300);
            }
        }
    }
});
