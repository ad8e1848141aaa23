//! Any transfers of a connection that began with a TLS record.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::Sent;

fuzz_target!(|bytes: &[u8]| session::play(&[(Sent, b"\x16\x03\x01\x00\x01x")], bytes));
