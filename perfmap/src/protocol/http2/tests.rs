use proptest::prelude::*;

use crate::{
    protocol::{Decoder, Verdict},
    recording::{CallStep, Direction, Direction::*, Mark, Wire},
};

/// Transfers between real programs, as a proxy in between read them: `>` the client's, `<` the server's, in hex.
/// nghttp 1.52 to nghttpd with a push; httpx 0.28 and curl 7.88 to hypercorn 0.18, once with an upgrade; grpcio 1.85.
const NGHTTP: &str = include_str!("captures/nghttp.txt");
const HTTPX: &str = include_str!("captures/httpx.txt");
const CURL: &str = include_str!("captures/curl.txt");
const UPGRADE: &str = include_str!("captures/upgrade.txt");
const GRPC: &str = include_str!("captures/grpc.txt");
const ALL: [&str; 5] = [NGHTTP, HTTPX, CURL, UPGRADE, GRPC];

type Transfers = Vec<(Direction, Vec<u8>)>;

fn transfers(text: &str) -> Transfers {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| {
            let (side, hex) = line.split_once(' ').unwrap();
            (if side == ">" { Sent } else { Received }, hex.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

fn read(transfers: &Transfers) -> Vec<Mark> {
    let mut decoder = Decoder::new();
    transfers.iter().flat_map(|(direction, bytes)| decoder.feed(*direction, bytes, bytes.len() as u64)).collect()
}

/// One line a mark.
fn lines(marks: &[Mark]) -> Vec<String> {
    let line = |mark: &Mark| match mark {
        Mark::Call { wire, stream, step } => {
            let wire = if *wire == Wire::Grpc { "grpc " } else { "" };
            let step = match step {
                CallStep::Request { method, operation, host, repeat: None } => {
                    let words = [method.as_ref().map(|method| &method.0), operation.as_ref(), host.as_ref()];
                    words.map(|word| word.map_or("?", String::as_str)).join(" ")
                }
                CallStep::Response { status, failed } => {
                    let status = status.map_or("?".to_owned(), |status| status.to_string());
                    format!("= {status}{}", if *failed { " failed" } else { "" })
                }
                other => format!("{other:?}"),
            };
            format!("{wire}{stream} {step}")
        }
        other => format!("{other:?}"),
    };
    marks.iter().map(line).collect()
}

fn of(text: &str) -> Vec<String> {
    lines(&read(&transfers(text)))
}

#[test]
fn a_multiplexed_connection() {
    let expected = "1 GET /seq/0 127.0.0.1:7104|1 RequestEnd|1 = 200|1 ResponseEnd|\
        3 GET /seq/1 127.0.0.1:7104|3 RequestEnd|3 = 200|3 ResponseEnd|\
        5 GET /seq/2 127.0.0.1:7104|5 RequestEnd|5 = 200|5 ResponseEnd|\
        7 POST /par 127.0.0.1:7104|9 POST /par 127.0.0.1:7104|11 POST /par 127.0.0.1:7104|\
        13 POST /par 127.0.0.1:7104|15 POST /par 127.0.0.1:7104|\
        7 RequestEnd|9 RequestEnd|11 RequestEnd|13 RequestEnd|15 RequestEnd|\
        9 = 200|11 = 200|7 = 200|13 = 200|15 = 200|\
        7 ResponseEnd|9 ResponseEnd|11 ResponseEnd|13 ResponseEnd|15 ResponseEnd";
    assert_eq!(of(HTTPX).join("|"), expected);
    assert_eq!(of(CURL).join("|"), "1 POST /a/17 127.0.0.1:7133|1 RequestEnd|1 = 200|1 ResponseEnd");
}

/// Nobody asked for the two promised files.
#[test]
fn pushes_are_no_round_trips() {
    let expected = "13 GET /index.html 127.0.0.1:7111|13 RequestEnd|15 GET /index.html 127.0.0.1:7111|15 RequestEnd|\
        17 GET /nope 127.0.0.1:7111|17 RequestEnd|19 GET /nope 127.0.0.1:7111|19 RequestEnd|\
        13 = 200|15 = 200|17 = 404 failed|19 = 404 failed|13 ResponseEnd|15 ResponseEnd|17 ResponseEnd|19 ResponseEnd";
    assert_eq!(of(NGHTTP).join("|"), expected);
    let answers = transfers(NGHTTP).into_iter().filter(|(direction, _)| *direction == Received);
    let bytes = answers.flat_map(|(_, bytes)| bytes).collect::<Vec<_>>();
    let frames = super::frame::chain(&bytes).unwrap();
    assert_eq!(frames.iter().filter(|frame| frame.kind == super::frame::Kind::Promise).count(), 2);
}

/// The first request is HTTP/1's, and its answer on the first stream is not counted again.
#[test]
fn an_upgraded_connection() {
    let expected = "0 GET /u/1 127.0.0.1:7122|0 RequestEnd|0 = 101|0 ResponseEnd|Upgraded|\
        3 GET /missing 127.0.0.1:7122|3 RequestEnd|3 = 404 failed|3 ResponseEnd|\
        5 GET /u/3 127.0.0.1:7122|5 RequestEnd|5 = 200|5 ResponseEnd";
    assert_eq!(of(UPGRADE).join("|"), expected);
}

/// Three calls, an error, a method that is not there, a stream of answers, one both ways, and one past its deadline.
#[test]
fn grpc_calls() {
    let call = |stream: u32, method: &str, answer: &str| {
        let answer = answer.split('|').map(|line| format!("grpc {stream} = {line}|")).collect::<String>();
        format!(
            "grpc {stream} ? /shop.Stock/{method} 127.0.0.1:7105|grpc {stream} RequestEnd|{answer}grpc {stream} ResponseEnd"
        )
    };
    let calls = [
        call(1, "Get", "?|0"),
        call(3, "Get", "?|0"),
        call(5, "Get", "?|0"),
        call(7, "Fail", "5 failed"),
        call(9, "None", "12 failed"),
        call(11, "Watch", "?|0"),
        call(13, "Both", "?|0"),
        call(15, "Slow", "4 failed"),
    ];
    assert_eq!(of(GRPC).join("|"), calls.join("|"));
}

#[test]
fn no_value_of_a_header_stays() {
    for text in ALL {
        let mut decoder = Decoder::new();
        for (direction, bytes) in transfers(text) {
            let marks = decoder.feed(direction, &bytes, bytes.len() as u64);
            // Neither in what comes out nor in what waits for the next block.
            assert!(!format!("{marks:?}{decoder:?}").contains("SECRET"));
        }
        assert_ne!(decoder.verdict(), Verdict::Opaque);
    }
}

/// The header tables are unknown, the streams are not.
#[test]
fn a_connection_that_was_joined() {
    let all = transfers(GRPC);
    // The settings, then one call with its answer, are over.
    let first_answer = all.iter().position(|(direction, bytes)| *direction == Received && bytes.len() > 60).unwrap();
    let joined: Transfers = all[first_answer + 2..].to_vec();
    let found = of_transfers(&joined);
    let wanted = "3 POST ? ?|3 RequestEnd|3 = 200|3 ResponseEnd|5 POST ? ?|5 RequestEnd|5 = 200|5 ResponseEnd|\
        7 POST /shop.Stock/Fail ?|7 RequestEnd|grpc 7 = 5 failed|grpc 7 ResponseEnd";
    assert!(found.join("|").starts_with(wanted), "{}", found.join("|"));
    let answered = found.iter().filter(|line| line.ends_with("ResponseEnd")).count();
    assert_eq!(answered, 7);
    for text in [HTTPX, NGHTTP] {
        let all = transfers(text);
        for skipped in 0..all.len() {
            let rest = of_transfers(&all[skipped..].to_vec());
            // Whatever is seen of it belongs to a stream that there was.
            let whole = of(text);
            let ends = |lines: &[String]| lines.iter().filter(|line| line.ends_with("ResponseEnd")).count();
            assert!(ends(&rest) <= ends(&whole), "{skipped}");
        }
    }
}

fn of_transfers(transfers: &Transfers) -> Vec<String> {
    lines(&read(transfers))
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END: u8 = 1;
const WHOLE: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Literals without an index.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn get(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":path", path), ("cookie", "SECRET")])
}

fn ok() -> Vec<u8> {
    block(&[(":status", "200")])
}

/// The client's frames, then the server's, then the client's, and so on.
fn turns(turns: &[&[Vec<u8>]]) -> Vec<String> {
    let mut all: Transfers = vec![(Sent, PREFACE.to_vec()), (Received, frame(SETTINGS, 0, 0, &[]))];
    for (place, frames) in turns.iter().enumerate() {
        all.push((if place % 2 == 0 { Sent } else { Received }, frames.concat()));
    }
    of_transfers(&all)
}

#[test]
fn padding_priority_and_continuations() {
    let path = get("/long?q");
    let padded = [&[3, 0, 0, 0, 0, 9], &path[..4], &[0; 3]].concat();
    let asked = [
        frame(HEADERS, END | PADDED | PRIORITY, 1, &padded),
        frame(CONTINUATION, 0, 1, &path[4..9]),
        frame(CONTINUATION, 0, 1, &[]),
        frame(CONTINUATION, WHOLE, 1, &path[9..]),
    ];
    let answered = [
        frame(HEADERS, WHOLE, 1, &block(&[(":status", "103")])),
        frame(HEADERS, WHOLE, 1, &ok()),
        frame(DATA, PADDED, 1, &[2, b'x', 0, 0]),
        frame(0xb, 0, 0, b"an extension"),
        frame(HEADERS, WHOLE | END, 1, &block(&[("checksum", "1")])),
    ];
    assert_eq!(turns(&[&asked, &answered]), ["1 GET /long ?", "1 RequestEnd", "1 = 200", "1 ResponseEnd"]);
    // Something else between the parts of a block.
    let broken = [frame(HEADERS, END, 1, &path[..4]), frame(DATA, 0, 1, b"x")];
    assert_eq!(turns(&[&broken]), ["0 Desync"]);
}

#[test]
fn streams_that_are_given_up() {
    let asked = [1, 3, 5, 7].map(|stream| frame(HEADERS, WHOLE | END, stream, &get("/a")));
    let answered = [
        frame(RESET, 0, 1, &[0, 0, 0, 7]),
        frame(HEADERS, WHOLE | END, 3, &ok()),
        frame(RESET, 0, 3, &[0; 4]),
        frame(GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0, b'd', b'e', b'b', b'u', b'g']),
        frame(HEADERS, WHOLE | END, 5, &ok()),
    ];
    let found = turns(&[&asked, &answered]);
    assert_eq!(found[8..], ["1 Abandoned", "3 = 200", "3 ResponseEnd", "7 Abandoned", "5 = 200", "5 ResponseEnd"]);
}

/// As curl does with an answer whose last frame is empty.
#[test]
fn given_up_with_the_last_byte() {
    let asked = [1, 3].map(|stream| frame(HEADERS, WHOLE | END, stream, &get("/a")));
    let head = block(&[(":status", "200"), ("content-length", "4")]);
    let answered = [
        frame(HEADERS, WHOLE, 1, &head),
        frame(DATA, 0, 1, b"body"),
        frame(HEADERS, WHOLE, 3, &head),
        frame(DATA, 0, 3, b"bod"),
    ];
    let resets = [1, 3].map(|stream| frame(RESET, 0, stream, &[0; 4]));
    let late = [frame(DATA, END, 1, b"")];
    let found = turns(&[&asked, &answered, &resets]);
    assert_eq!(found[4..], ["1 = 200", "1 ResponseEnd", "3 = 200", "3 Abandoned"]);
    let found = turns(&[&asked, &answered, &[], &late]);
    assert_eq!(found[4..], ["1 = 200", "1 ResponseEnd", "3 = 200"]);
}

#[test]
fn tunnels_and_requests_with_trailers() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "u:p@far:443")]);
    let asked = [
        frame(HEADERS, WHOLE, 1, &connect),
        frame(HEADERS, WHOLE, 3, &get("/a")),
        frame(DATA, 0, 3, b"body"),
        frame(HEADERS, WHOLE | END, 3, &block(&[("checksum", "1")])),
    ];
    let answered = [frame(HEADERS, WHOLE, 1, &ok()), frame(HEADERS, WHOLE | END, 3, &ok())];
    let expected = [
        "1 CONNECT far:443 far:443",
        "3 GET /a ?",
        "3 RequestEnd",
        "1 = 200",
        "1 ResponseEnd",
        "3 = 200",
        "3 ResponseEnd",
    ];
    assert_eq!(turns(&[&asked, &answered]), expected);
}

#[test]
fn an_error_of_a_proxy_is_no_status_of_grpc() {
    let asked = block(&[(":method", "POST"), (":path", "/a.B/C"), ("content-type", "application/grpc+proto")]);
    let answered = [frame(HEADERS, WHOLE | END, 1, &block(&[(":status", "503"), ("content-type", "text/html")]))];
    let found = turns(&[&[frame(HEADERS, WHOLE | END, 1, &asked)], &answered]);
    assert_eq!(found[2..], ["grpc 1 = 503 failed", "grpc 1 ResponseEnd"]);
}

/// Lengths carry over bodies that were not captured; a frame that begins in them is lost, and the next transfer's found.
#[test]
fn what_was_not_captured() {
    let mut decoder = Decoder::new();
    let mut feed = |direction, bytes: &[u8], length: usize| lines(&decoder.feed(direction, bytes, length as u64));
    feed(Sent, PREFACE, PREFACE.len());
    let asked = [1, 3, 5].map(|stream| frame(HEADERS, WHOLE | END, stream, &get("/a"))).concat();
    assert_eq!(feed(Sent, &asked, asked.len()).len(), 6);
    let body = frame(DATA, END, 1, &[b'x'; 9000]);
    let answer = [frame(HEADERS, WHOLE, 1, &ok()), body].concat();
    assert_eq!(feed(Received, &answer[..4096], answer.len() - 1), ["1 = 200"]);
    assert_eq!(feed(Received, b"x", 1), ["1 ResponseEnd"]);
    let two =
        [frame(HEADERS, WHOLE, 3, &ok()), frame(DATA, END, 3, &[b'x'; 9000]), frame(HEADERS, WHOLE | END, 5, &ok())];
    let two = two.concat();
    assert_eq!(feed(Received, &two[..4096], two.len()), ["3 = 200", "3 ResponseEnd", "0 Desync"]);
    assert_eq!(feed(Received, b"in the middle of a body", 23), [""; 0]);
    let ping = frame(6, 1, 0, &[1; 8]);
    let late = [ping, frame(HEADERS, WHOLE | END, 5, &ok())].concat();
    assert_eq!(feed(Received, &late, late.len()), ["5 = 200", "5 ResponseEnd"]);
    // A head beyond what was captured still names its request, and the frames behind it are found.
    let head = [get("/long"), block(&[("cookie", &"c".repeat(100))])].concat();
    let head = frame(HEADERS, WHOLE | END, 7, &head);
    assert_eq!(feed(Sent, &head[..60], head.len()), ["7 GET /long ?", "7 RequestEnd"]);
    let next = frame(HEADERS, WHOLE | END, 9, &get("/b"));
    assert_eq!(feed(Sent, &next, next.len()), ["9 GET /b ?", "9 RequestEnd"]);
}

/// gRPC's do.
#[test]
fn a_server_that_speaks_first() {
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 64, 0, 0, 0xfe, 3, 0, 0, 0, 1]);
    for length in 1..=settings.len() {
        let all: Transfers = vec![
            (Received, settings[..length].to_vec()),
            (Sent, [PREFACE, &frame(HEADERS, WHOLE | END, 1, &get("/a"))].concat()),
            (Received, [&settings[length..], &frame(HEADERS, WHOLE | END, 1, &ok())].concat()),
        ];
        assert_eq!(of_transfers(&all), ["1 GET /a ?", "1 RequestEnd", "1 = 200", "1 ResponseEnd"], "{length}");
    }
}

#[test]
fn what_is_not_http2() {
    let strangers: [&[u8]; 6] = [
        // MySQL's greeting, PostgreSQL's and its request for TLS, a name server's answer, zeros, a Redis command.
        b"\x4a\0\0\0\x0a8.0.36\0",
        b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\0\x1d\xab\xcd\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x01\0\x01",
        &[0; 64],
        b"*1\r\n$4\r\nPING\r\n",
    ];
    for bytes in strangers {
        let mut decoder = Decoder::new();
        for _ in 0..8 {
            decoder.feed(Received, bytes, bytes.len() as u64);
        }
        assert_ne!(decoder.verdict(), Verdict::Calls(Wire::Http2), "{bytes:?}");
    }
}

fn parts(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut places = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<Vec<_>>();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn cuts_change_nothing(which in 0..ALL.len(), cuts in proptest::collection::vec(any::<usize>(), 0..200)) {
        let whole = transfers(ALL[which]);
        let mut cut = Transfers::new();
        for (direction, bytes) in &whole {
            cut.extend(parts(bytes, &cuts).into_iter().map(|part| (*direction, part)));
        }
        prop_assert_eq!(of(ALL[which]), of_transfers(&cut));
        let single = whole.iter().flat_map(|(direction, bytes)| bytes.iter().map(|byte| (*direction, vec![*byte])));
        prop_assert_eq!(of(ALL[which]), of_transfers(&single.collect()));
    }

    /// Whatever is captured of it and whatever is changed: no panic, no more marks than frames, bounded strings.
    #[test]
    fn total_and_bounded(
        which in 0..ALL.len(),
        captured in 0_usize..400,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..20),
        lengths in proptest::collection::vec(any::<u64>(), 0..4),
    ) {
        let mut all = transfers(ALL[which]);
        let count = all.len();
        for (place, byte) in changes {
            let bytes = &mut all[place % count].1;
            let at = place / count % bytes.len();
            bytes[at] = byte;
        }
        let mut decoder = Decoder::new();
        let mut lengths = lengths.into_iter();
        let (mut fed, mut said) = (0, 0);
        for (direction, bytes) in all {
            let known = &bytes[..bytes.len().min(captured)];
            let length = lengths.next().unwrap_or(bytes.len() as u64);
            let marks = decoder.feed(direction, known, length);
            (fed, said) = (fed + bytes.len(), said + marks.len());
            prop_assert!(said <= 8 + fed);
            for mark in marks {
                if let Mark::Call { step: CallStep::Request { method, operation, host, .. }, .. } = mark {
                    let length = |text: Option<String>| text.map_or(0, |text| text.len());
                    prop_assert!(method.is_none_or(|method| method.0.len() <= 32));
                    prop_assert!(operation.as_ref().is_none_or(|path| !path.contains(['?', '#'])));
                    prop_assert!(length(operation) <= 256 && length(host) <= 255);
                }
            }
        }
    }

    #[test]
    fn any_frames(frames in proptest::collection::vec((any::<bool>(), 0_u8..11, any::<u8>(), 0_u32..8, proptest::collection::vec(any::<u8>(), 0..40)), 0..80)) {
        let mut decoder = Decoder::new();
        decoder.feed(Sent, PREFACE, PREFACE.len() as u64);
        for (sent, kind, flags, stream, payload) in frames {
            let bytes = frame(kind, flags, stream, &payload);
            decoder.feed(if sent { Sent } else { Received }, &bytes, bytes.len() as u64);
        }
    }
}
