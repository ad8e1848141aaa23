use proptest::prelude::*;

use super::*;
use crate::recording::{CallStep, Direction::*, WebMethod};

/// Feeds each text as one transfer, captured as far as the kernel captures.
pub fn marks(transfers: &[(Direction, &[u8])]) -> Vec<Mark> {
    let mut decoder = Decoder::new();
    let mut marks = Vec::new();
    for (direction, bytes) in transfers {
        marks.extend(decoder.feed(*direction, &bytes[..bytes.len().min(4096)], bytes.len() as u64));
    }
    marks.extend(decoder.closed());
    marks
}

fn request(method: &str, target: &str) -> Mark {
    call(CallStep::Request {
        method: Some(WebMethod(method.into())),
        operation: Some(target.into()),
        host: Some("h".into()),
        repeat: None,
    })
}

const fn call(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Http1, stream: 0, step }
}

fn response(status: u16) -> Mark {
    call(CallStep::Response { status: Some(status), failed: false })
}

const REQUEST_END: Mark = call(CallStep::RequestEnd);
const RESPONSE_END: Mark = call(CallStep::ResponseEnd);
const DESYNC: Mark = call(CallStep::Desync);

const GET: &[u8] = b"GET /a?token=secret#x HTTP/1.1\r\nHost: u:p@h\r\nCookie: no\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
use Mark::Upgraded;

#[test]
fn a_request_and_its_answer() {
    let expected = [request("GET", "/a"), REQUEST_END, response(200), RESPONSE_END];
    assert_eq!(marks(&[(Sent, GET), (Received, OK)]), expected);
    assert_eq!(marks(&[(Received, GET), (Sent, OK)]), expected);
}

#[test]
fn every_framing() {
    let cases: [(&[u8], &[u8], Vec<Mark>); 10] = [
        (b"HEAD / HTTP/1.1\nHost: h\n\n", b"HTTP/1.1 200 OK\nContent-Length: 9\n\n", vec![response(200), RESPONSE_END]),
        (GET, b"HTTP/1.1 204 No\r\n\r\n", vec![response(204), RESPONSE_END]),
        (GET, b"HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", vec![response(304), RESPONSE_END]),
        (GET, b"HTTP/1.0 200 OK\r\n\r\nuntil the end", vec![response(200), RESPONSE_END]),
        (
            GET,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3;x=y\r\nabc\r\n0a \r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            vec![response(200), RESPONSE_END],
        ),
        (
            GET,
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            vec![response(200), RESPONSE_END],
        ),
        (
            GET,
            b"HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\n\r\n\x81\x02hiHTTP/1.1 200 OK\r\n\r\n",
            vec![response(101), RESPONSE_END, Upgraded],
        ),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", vec![response(200), RESPONSE_END]),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", vec![response(200), DESYNC]),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", vec![response(200), DESYNC]),
    ];
    for (asked, answered, expected) in cases {
        let found = marks(&[(Sent, asked), (Received, answered)]);
        assert_eq!(found[2..], expected, "{}", String::from_utf8_lossy(answered));
    }
}

#[test]
fn request_bodies_and_targets() {
    let found = marks(&[(Sent, b"POST http://u:p@shop:81/x;y?z HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"),
        (Sent, b"abcdPUT /c HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET /a HTTP/1.1\r\nHost:h\r\n\r\n")]);
    let first = call(CallStep::Request {
        method: Some(WebMethod("POST".into())),
        operation: Some("/x;y".into()),
        host: Some("shop:81".into()),
        repeat: None,
    });
    let rest = [REQUEST_END, request("PUT", "/c"), REQUEST_END, request("GET", "/a"), REQUEST_END];
    assert_eq!(found[0], first);
    assert_eq!(found[1..], rest);
}

#[test]
fn lengths_carry_over_what_was_not_captured() {
    let mut decoder = Decoder::new();
    decoder.feed(Sent, GET, GET.len() as u64);
    decoder.feed(Sent, GET, GET.len() as u64);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
    assert_eq!(decoder.feed(Received, head, 5000 + head.len() as u64), [response(200)]);
    assert_eq!(decoder.feed(Received, b"", 4999), []);
    assert_eq!(decoder.feed(Received, b"x", 1), [RESPONSE_END]);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n";
    assert_eq!(decoder.feed(Received, head, head.len() as u64 + 10_001), [response(200)]);
    assert_eq!(decoder.feed(Received, b"\n0\r\n\r\n", 6), [RESPONSE_END]);
}

#[test]
fn lost_and_found() {
    let mut decoder = Decoder::new();
    decoder.feed(Sent, GET, GET.len() as u64);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n";
    assert_eq!(decoder.feed(Received, head, head.len() as u64 + 10_003), [response(200), DESYNC]);
    assert_eq!(decoder.feed(Received, b"xxxx", 4), []);
    assert_eq!(decoder.feed(Received, b"HTT", 3), []);
    assert_eq!(decoder.feed(Received, &OK[3..], OK.len() as u64 - 3), [response(200), RESPONSE_END]);
    // A head beyond what is captured still names its request.
    let long = [b"GET /a HTTP/1.1\r\nHost: h\r\nCookie: ".as_slice(), &[b'x'; 4000]].concat();
    assert_eq!(decoder.feed(Sent, &long, 9000), [request("GET", "/a"), DESYNC]);
    assert_eq!(decoder.feed(Sent, GET, GET.len() as u64), [request("GET", "/a"), REQUEST_END]);
}

#[test]
fn a_refused_upgrade_goes_on_with_http() {
    let h2c = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
    let found = marks(&[(Sent, h2c), (Received, OK), (Sent, GET), (Received, OK)]);
    let answer = [response(200), RESPONSE_END];
    assert_eq!(found[2..4], answer);
    assert_eq!(found[4..6], [request("GET", "/a"), REQUEST_END]);
    assert_eq!(found[6..], answer);
}

#[test]
fn a_tunnel_is_searched_for_tls() {
    let mut decoder = Decoder::new();
    let connect = b"CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n";
    decoder.feed(Sent, connect, connect.len() as u64);
    let answer = b"HTTP/1.1 200 Established\r\n\r\n";
    assert_eq!(decoder.feed(Received, answer, answer.len() as u64), [response(200), RESPONSE_END, Upgraded]);
    assert_eq!(decoder.feed(Sent, b"\x16\x03\x01\x02\x00", 517), [Mark::TlsRecord { content: 22, length: 512 }]);
}

#[test]
fn tls_records_over_transfers() {
    let mut decoder = Decoder::new();
    let data = |length| Mark::TlsRecord { content: 23, length };
    assert_eq!(decoder.feed(Sent, b"\x16\x03\x01\x00", 4), []);
    assert_eq!(
        decoder.feed(Sent, b"\x02ab\x17\x03\x03\x00\x05", 8),
        [Mark::TlsRecord { content: 22, length: 2 }, data(5)]
    );
    assert_eq!(decoder.verdict(), Verdict::Tls);
    assert_eq!(decoder.feed(Sent, b"", 5), []);
    assert_eq!(decoder.feed(Sent, b"\x17\x03\x03\x40\x00", 16389 * 2), [data(16384), Mark::TlsDesync]);
    assert_eq!(decoder.feed(Sent, b"garbage", 7), []);
    assert_eq!(decoder.feed(Sent, b"\x17\x03\x03\x00\x01x", 6), [data(1)]);
    let many = b"\x17\x03\x03\x00\x01x".repeat(100);
    let found = decoder.feed(Sent, &many, many.len() as u64);
    assert_eq!(found.len(), MAX_TEST_MARKS);
    assert_eq!(found.last(), Some(&data(69)));
}
const MAX_TEST_MARKS: usize = 32;

#[test]
fn strangers_are_given_up() {
    let mut decoder = Decoder::new();
    for _ in 0..MAX_MISSES {
        assert_eq!(decoder.verdict(), Verdict::Undecided);
        assert_eq!(decoder.feed(Sent, b"EHLO there, mate\r\n", 18), []);
    }
    assert_eq!(decoder.verdict(), Verdict::Opaque);
    assert_eq!(decoder.feed(Sent, GET, GET.len() as u64), []);
    let mut decoder = Decoder::new();
    decoder.feed(Sent, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    assert_eq!(decoder.verdict(), Verdict::Calls(crate::recording::Wire::Http2));
    // PostgreSQL asks for TLS in its own words first.
    let mut decoder = Decoder::new();
    decoder.feed(Sent, &[0, 0, 0, 8, 4, 210, 22, 47], 8);
    decoder.feed(Received, b"S", 1);
    decoder.feed(Sent, b"\x16\x03\x01\x02\x00", 517);
    assert_eq!(decoder.verdict(), Verdict::Tls);
}

#[test]
fn strings_are_bounded() {
    let long = format!("{} /{} HTTP/1.1\r\nHost: {}\r\n\r\n", "M".repeat(32), "é".repeat(400), "h".repeat(900));
    let found = marks(&[(Sent, long.as_bytes())]);
    match &found[0] {
        Mark::Call { step: CallStep::Request { method: Some(method), operation: Some(target), host, .. }, .. } => {
            assert_eq!((method.0.len(), target.len(), host.as_ref().map(String::len)), (32, 255, Some(255)));
        }
        other => panic!("{other:?}"),
    }
    let fields = (0..3000).map(|n| format!("a{n}:\n")).collect::<String>();
    let many = format!("GET /a HTTP/1.1\nHost: h\n{fields}\n");
    let mut decoder = Decoder::new();
    let found =
        many.as_bytes().chunks(1000).flat_map(|part| decoder.feed(Sent, part, part.len() as u64)).collect::<Vec<_>>();
    assert_eq!(found, [request("GET", "/a"), REQUEST_END]);
}

/// Whole messages as they occur, for laws over sessions.
fn exchange() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let asked = prop_oneof![
        Just(GET.to_vec()),
        Just(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        Just(b"PUT /p HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n2\nab\n0\n\n".to_vec()),
    ];
    let answered = prop_oneof![
        Just(OK.to_vec()),
        Just(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;e\r\nabcd\r\n0\r\nT: v\r\n\r\n".to_vec()),
    ];
    (asked, answered)
}

fn parts(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut places = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<Vec<_>>();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

fn both(asked: &[Vec<u8>], answered: &[Vec<u8>]) -> Vec<Mark> {
    let mut decoder = Decoder::new();
    let mut marks = Vec::new();
    for (direction, transfers) in [(Sent, asked), (Received, answered)] {
        for bytes in transfers {
            marks.extend(decoder.feed(direction, bytes, bytes.len() as u64));
        }
    }
    marks.extend(decoder.closed());
    marks
}

proptest! {
    #[test]
    fn cuts_change_nothing(session in proptest::collection::vec(exchange(), 1..12), cuts in proptest::collection::vec(any::<usize>(), 0..40)) {
        let (asked, answered): (Vec<_>, Vec<_>) = session.into_iter().unzip();
        let (asked, answered) = (asked.concat(), answered.concat());
        let whole = both(std::slice::from_ref(&asked), std::slice::from_ref(&answered));
        prop_assert!(!whole.contains(&DESYNC));
        prop_assert_eq!(&whole, &both(&parts(&asked, &cuts), &parts(&answered, &cuts)));
        let single = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
        prop_assert_eq!(&whole, &both(&single(&asked), &single(&answered)));
    }

    #[test]
    fn tls_cuts_change_nothing(records in proptest::collection::vec((20_u8..=24, 1_u16..200), 1..20), cuts in proptest::collection::vec(any::<usize>(), 0..40)) {
        let bytes = records.iter().flat_map(|(content, length)| {
            let mut record = vec![*content, 3, 3];
            record.extend(length.to_be_bytes());
            record.resize(record.len() + usize::from(*length), 0xaa);
            record
        }).collect::<Vec<_>>();
        let expected = records.iter().map(|(content, length)| Mark::TlsRecord { content: *content, length: *length }).collect::<Vec<_>>();
        prop_assert_eq!(&expected, &both(&[], &parts(&bytes, &cuts)));
        prop_assert_eq!(&expected, &both(&[], &bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>()));
    }

    #[test]
    fn total_and_bounded(transfers in proptest::collection::vec((any::<bool>(), hostile(), any::<u64>(), any::<bool>()), 0..60)) {
        let mut decoder = Decoder::new();
        for (sent, bytes, length, whole) in transfers {
            let length = if whole { bytes.len() as u64 } else { length };
            let found = decoder.feed(if sent { Sent } else { Received }, &bytes, length);
            // Two marks for each head, and the shortest request is 16 bytes.
            prop_assert!(found.len() <= 32 + bytes.len());
            for mark in found {
                if let Mark::Call { wire: Wire::Http1, step: CallStep::Request { method: Some(method), operation: Some(target), host, .. }, .. } = mark {
                    prop_assert!(method.0.len() <= 32 && target.len() <= 256 && host.is_none_or(|host| host.len() <= 255));
                    prop_assert!(!target.contains(['?', '#']));
                }
            }
        }
        decoder.closed();
    }
}

/// Pieces of real messages, mutated, and plain noise.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let real =
        (exchange(), any::<usize>(), any::<u8>(), any::<bool>()).prop_map(|((asked, answered), at, byte, change)| {
            let mut bytes = [asked, answered].concat();
            if change {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes
        });
    prop_oneof![
        real,
        proptest::collection::vec(any::<u8>(), 0..80),
        Just(b"\x16\x03\x01\x00\x05".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec()),
        Just(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".repeat(40)),
    ]
}
