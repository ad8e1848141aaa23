//! The first bytes of a transfer → which protocol they begin: yes, no, or too few to say.

use super::dialogue::Side;
use crate::recording::Wire;

/// Longest request line that is waited for while nothing is decided yet.
const MAX_PROBE: usize = 16 * 1024;
pub(super) const MAX_METHOD: usize = 32;
/// Methods that are believed without having seen the version behind the target (RFC 9110 and PATCH).
const COMMON: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE "];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tls,
    /// And who begins so.
    Call(Wire, Side),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    Yes(Kind),
    No,
    NeedMore,
}

/// One row a protocol: what its first bytes look like, from either side.
const BEGINNINGS: [fn(&[u8]) -> Guess; 9] = [
    request,
    response,
    tls,
    super::http2::begins,
    super::postgres::begins,
    super::redis::begins,
    super::mysql::begins,
    super::memcached::begins,
    super::memcached::binary::begins,
];

pub(super) fn any(bytes: &[u8]) -> Guess {
    let mut answer = Guess::No;
    for begins in BEGINNINGS {
        let guess = begins(bytes);
        match guess {
            Guess::Yes(_) => return guess,
            Guess::NeedMore => answer = guess,
            Guess::No => {}
        }
    }
    answer
}

/// Token, space, target, space, `HTTP/1.`; empty lines before it are allowed (RFC 9112, 2.2).
pub(super) fn request(bytes: &[u8]) -> Guess {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &bytes[blank..];
    let method = line.iter().take(MAX_METHOD + 1).take_while(|byte| is_token(**byte)).count();
    match line.get(method) {
        None if method <= MAX_METHOD => return Guess::NeedMore,
        Some(b' ') if method > 0 => {}
        _ => return Guess::No,
    }
    let rest = &line[method + 1..];
    let target = rest.iter().take_while(|byte| **byte > b' ' && **byte != 0x7f).count();
    match rest.get(target) {
        None => return Guess::NeedMore,
        Some(b' ') if target > 0 => {}
        _ => return Guess::No,
    }
    let version = &rest[target + 1..];
    if line.starts_with(b"PRI * ") && version.starts_with(b"HTTP/2") {
        return Guess::Yes(Kind::Call(Wire::Http2, Side::Requests));
    }
    begins(version, b"HTTP/1.", Kind::Call(Wire::Http1, Side::Requests))
}

pub(super) fn response(bytes: &[u8]) -> Guess {
    begins(bytes, b"HTTP/1.", Kind::Call(Wire::Http1, Side::Responses))
}

pub(super) fn tls(bytes: &[u8]) -> Guess {
    let fits = |at: usize, ok: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| ok(*byte));
    if !(fits(0, |b| (0x14..=0x18).contains(&b)) && fits(1, |b| b == 3) && fits(2, |b| b <= 4)) {
        return Guess::No;
    }
    match bytes.first_chunk::<5>() {
        None => Guess::NeedMore,
        Some(header) if super::tls::record(header).is_some() => Guess::Yes(Kind::Tls),
        Some(_) => Guess::No,
    }
}

fn begins(bytes: &[u8], with: &[u8], kind: Kind) -> Guess {
    let both = bytes.len().min(with.len());
    if bytes[..both] != with[..both] {
        // HTTP/2 in clear text begins like a request: `PRI * HTTP/2.0`.
        Guess::No
    } else if both == with.len() {
        Guess::Yes(kind)
    } else {
        Guess::NeedMore
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A request whose line runs beyond the captured bytes: a common method and something that looks like a target.
fn cut_request(bytes: &[u8]) -> bool {
    COMMON.iter().any(|method| {
        bytes.strip_prefix(*method).is_some_and(|target| {
            target.starts_with(b"/") || target.starts_with(b"http://") || target.starts_with(b"https://")
        })
    })
}

/// Bytes of one direction that are not decided yet; bounded.
#[derive(Debug, Default)]
pub(super) struct Probe(Vec<u8>);

impl Probe {
    /// Adds a transfer. A protocol may begin with what was held back, or with this transfer alone. After `Yes`,
    /// [`Probe::take`] has the bytes from the beginning on.
    pub fn offer(&mut self, captured: &[u8], cut: bool, guess: fn(&[u8]) -> Guess) -> Guess {
        let held = self.0.len();
        self.0.extend_from_slice(captured);
        let mut answer = self.judge(cut, guess);
        if answer == Guess::No && held > 0 {
            self.0.drain(..held);
            answer = self.judge(cut, guess);
        }
        if answer == Guess::No {
            self.0.clear();
        }
        answer
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn judge(&self, cut: bool, guess: fn(&[u8]) -> Guess) -> Guess {
        match guess(&self.0) {
            Guess::NeedMore if cut && guess(b"GET / HTTP/1.") != Guess::No && cut_request(&self.0) => {
                Guess::Yes(Kind::Call(Wire::Http1, Side::Requests))
            }
            Guess::NeedMore if cut || self.0.len() > MAX_PROBE => Guess::No,
            answer => answer,
        }
    }
}
