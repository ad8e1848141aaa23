//! Any transfers of a connection that began with PostgreSQL.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::Sent;

fuzz_target!(|bytes: &[u8]| session::play(&[(Sent, b"\0\0\0\x10\0\x03\0\0user\0u\0\0")], bytes));
