//! Any transfers of a connection that began with memcached.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::Sent;

fuzz_target!(|bytes: &[u8]| session::play(&[(Sent, b"get k\r\n")], bytes));
