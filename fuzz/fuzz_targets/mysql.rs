//! Any transfers of a connection that began with MySQL.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::Sent;

fuzz_target!(|bytes: &[u8]| session::play(&[(Sent, b"\x0e\0\0\0\x03SELECT a + b")], bytes));
