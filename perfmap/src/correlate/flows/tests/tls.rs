//! Round trips inferred from the records of TLS that nobody decrypted.

use super::*;

fn record(content: u8, length: u16) -> Vec<u8> {
    let mut bytes = vec![content, 3, 3];
    bytes.extend(length.to_be_bytes());
    bytes.resize(bytes.len() + usize::from(length), 0x5a);
    bytes
}

fn handshake_13(session: &mut Session, client: usize, with_request: bool) {
    session.ask(client, &record(22, 512));
    session.answer(
        client,
        &[record(22, 122), record(20, 1), record(23, 40), record(23, 900), record(23, 280), record(23, 69)].concat(),
    );
    let mut finished = [record(20, 1), record(23, 69)].concat();
    if with_request {
        finished.extend(record(23, 150));
    }
    session.ask(client, &finished);
    session.answer(client, &[record(23, 250), record(23, 250)].concat());
}

#[test]
fn tls_13_turns() {
    each(
        |session| {
            let client = session.connect(4000);
            handshake_13(session, client, false);
            for number in 0..20 {
                session.ask(client, &record(23, 150));
                if number % 3 == 0 {
                    // A body of several records.
                    session.ask(client, &[record(23, 16401), record(23, 16401), record(23, 900)].concat());
                }
                session.answer(client, &record(23, 300));
                session.answer(client, &record(23, 16401));
            }
            // close_notify, both ways.
            session.ask(client, &record(23, 19));
            session.answer(client, &record(23, 19));
            session.close(client);
        },
        (20, 0, 1, Counted::Inferred),
    );
    each(
        |session| {
            for port in 4000..4020 {
                let client = session.connect(port);
                handshake_13(session, client, port % 2 == 0);
                if port % 2 == 1 {
                    session.ask(client, &record(23, 150));
                }
                session.answer(client, &record(23, 300));
                session.ask(client, &record(23, 19));
                session.close(client);
            }
        },
        (20, 0, 20, Counted::Inferred),
    );
}

#[test]
fn tls_12_turns() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, &record(22, 300));
            session.answer(client, &[record(22, 80), record(22, 900), record(22, 300), record(22, 4)].concat());
            session.ask(client, &[record(22, 37), record(20, 1), record(22, 40)].concat());
            session.answer(client, &[record(22, 202), record(20, 1), record(22, 40)].concat());
            for length in [53, 69, 19, 800] {
                session.ask(client, &record(23, length));
                session.answer(client, &record(23, 300));
            }
            session.ask(client, &record(21, 26));
            session.close(client);
        },
        (4, 0, 1, Counted::Inferred),
    );
}

#[test]
fn tls_invents_nothing() {
    each(
        |session| {
            // Only a handshake, then a server that speaks alone.
            let client = session.connect(4000);
            handshake_13(session, client, false);
            session.answer(client, &record(23, 100));
            session.answer(client, &record(23, 100));
            session.ask(client, &record(23, 19));
            session.close(client);
        },
        (0, 0, 1, Counted::Exact),
    );
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    handshake_13(&mut session, client, false);
    let flows = session.flows();
    assert_eq!((flows.peers[0].protocol.as_str(), flows.peers[0].tls_handshake), ("tls", Some(Nanos(200))));
}

/// As Python's ssl module reads: the header, then the body.
#[test]
fn tls_read_header_by_header() {
    each(
        |session| {
            let client = session.connect(4000);
            handshake_13(session, client, false);
            for _ in 0..20 {
                session.ask(client, &record(23, 150));
                let answer = record(23, 5000);
                session.answer(client, &answer[..5]);
                session.answer(client, &answer[5..]);
            }
            session.close(client);
        },
        (20, 0, 1, Counted::Inferred),
    );
}

#[test]
fn tls_in_a_tunnel() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n");
            session.answer(client, b"HTTP/1.1 200 Established\r\n\r\n");
            handshake_13(session, client, true);
            session.answer(client, &record(23, 300));
            session.ask(client, &record(23, 150));
            session.answer(client, &record(23, 300));
            session.close(client);
        },
        (3, 0, 1, Counted::Inferred),
    );
}
