//! Any transfers of a connection that began with a MySQL login that asks for compressed frames.
#![no_main]

#[path = "../session.rs"]
mod session;

use libfuzzer_sys::fuzz_target;
use perfmap::recording::Direction::{Received, Sent};

const OK: &[u8] = &[7, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0];

fn greeting() -> Vec<u8> {
    [&[67, 0, 0, 0][..], b"\x0a8.0.1\0", &[1; 60]].concat()
}

/// CLIENT_COMPRESS.
fn login() -> Vec<u8> {
    [&[44, 0, 0, 1, 0x20, 0, 0, 0][..], &[0; 40]].concat()
}

fuzz_target!(|bytes: &[u8]| session::play(&[(Received, &greeting()), (Sent, &login()), (Received, OK)], bytes));
