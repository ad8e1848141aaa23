//! The captured bytes of a transfer → the tokens in it as keyed hashes, by which it can be told later whether a request
//! carries what an earlier answer first brought. The key is the run's and never stored; values never leave this file.
//!
//! Tokens are taken from bodies, request targets and parameters. Header fields repeat themselves in every message and
//! say nothing, so heads are left out; and so are the words of a statement, which are the program's own.

use std::collections::BTreeSet;

use super::RunKey;
use crate::recording::{CallStep, Mark, Wire};

/// Hashes that one transfer is kept as; those of tokens with a digit come first, because values tell more than words.
pub(super) const MAX_TOKENS: usize = 64;
/// Shorter ones are everywhere by chance.
const SHORTEST: usize = 4;
const LONGEST: usize = 128;
/// Of one transfer's bytes: enough for what is captured of an ordinary one.
const MAX_LOOKED_AT: usize = 16 * 1024;
/// The words of every JSON or Python text.
const CONSTANTS: [&[u8]; 6] = [b"true", b"false", b"null", b"None", b"True", b"False"];

/// `whole`: nothing of the transfer was missing.
pub(super) fn tokens(key: &RunKey, wire: Wire, captured: &[u8], whole: bool, marks: &[Mark]) -> Option<Mark> {
    let captured_all = whole && captured.len() <= MAX_LOOKED_AT;
    let captured = &captured[..captured.len().min(MAX_LOOKED_AT)];
    let operations = || {
        marks.iter().filter_map(|mark| match mark {
            Mark::Call { step: CallStep::Request { operation, .. }, .. } => operation.as_deref(),
            _ => None,
        })
    };
    let (mut values, mut words) = (BTreeSet::new(), BTreeSet::new());
    let mut take = |bytes: &[u8], own: &BTreeSet<&[u8]>| {
        for token in split(bytes).filter(|token| !own.contains(token)) {
            let hash = key.of(&[token]) as u32;
            let kind = if token.iter().any(u8::is_ascii_digit) { &mut values } else { &mut words };
            // One more than is kept tells that there were more.
            if kind.len() <= MAX_TOKENS {
                kind.insert(hash);
            }
        }
    };
    match wire {
        Wire::Http1 => bodies(captured).into_iter().for_each(|part| take(part, &BTreeSet::new())),
        Wire::Http2 | Wire::Grpc => {
            operations().for_each(|path| take(path.as_bytes(), &BTreeSet::new()));
            take(captured, &BTreeSet::new());
        }
        Wire::Postgres | Wire::Mysql | Wire::Redis | Wire::Memcached => {
            let own: BTreeSet<&[u8]> = operations().flat_map(|operation| split(operation.as_bytes())).collect();
            take(captured, &own);
        }
        Wire::Dns => return None,
    }
    words.retain(|word| !values.contains(word));
    let count = values.len() + words.len();
    let hashes: Vec<u32> = values.into_iter().chain(words).take(MAX_TOKENS).collect();
    let whole = captured_all && count <= MAX_TOKENS;
    Some(Mark::Tokens { hashes, whole })
}

/// The request line of a GET or HEAD, which reads and changes nothing.
pub(super) fn reads(captured: &[u8]) -> Option<&[u8]> {
    let line = captured.split(|byte| *byte == b'\n').next()?;
    let closed = line.len() < captured.len();
    (closed && (line.starts_with(b"GET ") || line.starts_with(b"HEAD "))).then_some(line)
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || *byte >= 0x80;
    let tokens = bytes.split(move |byte| !inside(byte));
    tokens.filter(|token| (SHORTEST..=LONGEST).contains(&token.len()) && !CONSTANTS.contains(token))
}

/// Of a transfer of HTTP/1: the target of a request line, and what is behind the head; all of it where it begins none.
fn bodies(captured: &[u8]) -> Vec<&[u8]> {
    let line = captured.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let answers = line.starts_with(b"HTTP/1.");
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
    let target = match words.as_slice() {
        [method, target, version] if version.starts_with(b"HTTP/1.") && !method.is_empty() => Some(*target),
        _ => None,
    };
    if !answers && target.is_none() {
        return vec![captured];
    }
    let ends = captured.windows(4).position(|window| window == b"\r\n\r\n");
    let body = ends.map(|at| &captured[at + 4..]);
    target.into_iter().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(key: &RunKey, wire: Wire, bytes: &[u8], marks: &[Mark]) -> (Vec<u32>, bool) {
        match tokens(key, wire, bytes, true, marks) {
            Some(Mark::Tokens { hashes, whole }) => (hashes, whole),
            other => panic!("{other:?}"),
        }
    }

    fn share(a: &[u32], b: &[u32]) -> usize {
        a.iter().filter(|hash| b.contains(hash)).count()
    }

    #[test]
    fn a_target_carries_what_a_body_brought() {
        let key = RunKey::default();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n{\"next\": \"c0ffee-17\", \"more\": true}";
        let asks = b"GET /items?after=c0ffee-17 HTTP/1.1\r\naccept: text/plain\r\n\r\n";
        let other = b"GET /items?after=c0ffee-18 HTTP/1.1\r\naccept: text/plain\r\n\r\n";
        let (answer, asks, other) = (
            of(&key, Wire::Http1, answer, &[]).0,
            of(&key, Wire::Http1, asks, &[]).0,
            of(&key, Wire::Http1, other, &[]).0,
        );
        assert_eq!(share(&answer, &asks), 1);
        assert_eq!(share(&answer, &other), 0);
        let again = of(&RunKey::default(), Wire::Http1, b"GET /c0ffee-17 HTTP/1.1\r\n\r\n", &[]).0;
        assert_eq!(share(&answer, &again), 0, "the key is the run's");
    }

    #[test]
    fn a_statement_s_own_words_are_none() {
        let key = RunKey::default();
        let request = Mark::Call {
            wire: Wire::Postgres,
            stream: 0,
            step: CallStep::Request {
                method: None,
                operation: Some("SELECT name FROM item WHERE code = $1".into()),
                host: None,
                repeat: None,
            },
        };
        let asks = b"P\0\0\0\x2eSELECT name FROM item WHERE code = $1\0B\0\0\0\x0a\0A1234\0";
        assert_eq!(of(&key, Wire::Postgres, asks, &[request]).0, [key.of(&[b"A1234"]) as u32]);
    }

    #[test]
    fn what_reads_is_told_by_its_line() {
        assert_eq!(reads(b"GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n"), Some(&b"GET /a?b HTTP/1.1\r"[..]));
        assert_eq!(reads(b"POST /a HTTP/1.1\r\n\r\n"), None);
        assert_eq!(reads(b"GET /cut"), None);
    }

    #[test]
    fn more_than_are_kept_is_said() {
        let text: String = (1000..1100).map(|n| format!("{n} ")).collect();
        let (hashes, whole) = of(&RunKey::default(), Wire::Http1, text.as_bytes(), &[]);
        assert_eq!((hashes.len(), whole), (MAX_TOKENS, false));
    }

    proptest! {
        #[test]
        fn total_and_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..2000), whole: bool) {
            for wire in [Wire::Http1, Wire::Http2, Wire::Postgres, Wire::Redis, Wire::Dns] {
                if let Some(Mark::Tokens { hashes, .. }) = tokens(&RunKey::default(), wire, &bytes, whole, &[]) {
                    prop_assert!(hashes.len() <= MAX_TOKENS);
                }
            }
            reads(&bytes);
        }
    }
}
