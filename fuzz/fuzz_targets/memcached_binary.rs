//! Any transfers of a connection that began with memcached's binary protocol.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::Sent;

const GET: [u8; 25] = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'k'];

fuzz_target!(|bytes: &[u8]| session::play(&[(Sent, &GET)], bytes));
