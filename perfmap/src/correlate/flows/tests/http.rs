//! HTTP/1 in clear text: what counts as a round trip, and what each says.

use super::*;

#[test]
fn keep_alive_and_a_connection_each() {
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..120 {
                session.ask(client, GET);
                session.answer(client, OK);
            }
            session.close(client);
        },
        (120, 0, 1, Counted::Exact),
    );
    each(
        |session| {
            for port in 0..120 {
                // Ports are used again.
                let client = session.connect(4000 + port % 7);
                session.ask(client, GET);
                session.answer(client, OK);
                session.close(client);
            }
        },
        (120, 0, 120, Counted::Exact),
    );
}

#[test]
fn what_a_round_trip_says() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, &GET[..10]);
    session.ask(client, &GET[10..]);
    session.answer(client, &OK[..OK.len() - 1]);
    session.answer(client, &OK[OK.len() - 1..]);
    let flows = session.flows();
    assert_eq!(flows.pairs, [Some(SocketId(1)), Some(SocketId(0))]);
    assert_eq!(
        flows.round_trips,
        [RoundTrip {
            socket: SocketId(0),
            server_socket: Some(SocketId(1)),
            inbound: false,
            sent: Nanos(200),
            received: Nanos(900),
            task: TaskId(0),
            stack: None,
            protocol: Protocol::Http1,
            method: Some("GET".into()),
            route: Some("/item/{id}".into()),
            status: Some(200),
            refused: false,
            repeat: None,
            request_bytes: GET.len() as u64,
            response_bytes: OK.len() as u64,
            counted: Counted::Exact,
            peer: Some(0),
            asked: Default::default(),
            answered: Default::default(),
        }]
    );
    let latency = Nanos(700);
    assert_eq!(
        flows.peers,
        [PeerFlow {
            endpoint: Endpoint::Internet { datagrams: false, remote: Address { ip: ip(1), port: 8000 }, network: 0 },
            address: "127.0.0.1:8000".into(),
            process: Some(ProcessId(1)),
            host: Some("shop".into()),
            protocol: "http/1.1".into(),
            round_trips: 1,
            failed: 0,
            connections: 1,
            failed_connects: 0,
            bytes_sent: GET.len() as u64,
            bytes_received: OK.len() as u64,
            latency: Some(Latency { min: latency, median: latency, p95: latency, max: latency }),
            connect: Some(Nanos(30)),
            tls_handshake: None,
            counted: Counted::Exact,
            local: true,
        }]
    );
}

#[test]
fn pipelined_in_one_send() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, &GET.repeat(12));
            session.answers(client, &[OK; 12]);
            session.close(client);
        },
        (12, 0, 1, Counted::Exact),
    );
}

#[test]
fn pipelined_answers_beyond_what_is_captured() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".as_slice(), &[b'x'; 500]].concat();
    for traced in [true, false] {
        let mut session = Session::new(traced, 65536);
        let client = session.connect(4000);
        session.ask(client, &GET.repeat(12));
        session.answers(client, &[answer.as_slice(); 12]);
        session.close(client);
        // The server's end saw each; without it, the hidden ones are neither counted nor called failed.
        let expected = if traced { (12, 0, 1, Counted::Exact) } else { (8, 0, 1, Counted::AtLeast) };
        assert_eq!(counts(&session.flows()), expected);
    }
}

#[test]
fn a_gap_before_further_requests() {
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".as_slice(), &[b'x'; 500]].concat();
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    session.ask(client, &GET.repeat(12));
    session.answers(client, &[answer.as_slice(); 12]);
    let later = session.now;
    session.ask(client, GET);
    session.answer(client, OK);
    session.close(client);
    let flows = session.flows();
    assert_eq!(counts(&flows), (9, 0, 1, Counted::AtLeast));
    assert_eq!(flows.round_trips[8].sent, Nanos(later + 100));
}

#[test]
fn a_client_known_by_its_server_only() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    session.recording.sockets[client].role = Role::Unknown;
    session.recording.sockets[client].states.clear();
    session.recording.events.retain(|event| !matches!(event, Event::Message(message) if message.socket == SocketId(0)));
    let flows = session.flows();
    assert_eq!(counts(&flows), (1, 0, 1, Counted::Exact));
    assert!(!flows.round_trips[0].inbound);
}

#[test]
fn bodies_of_every_framing() {
    let large = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        [b"7d0\r\n".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat().repeat(20),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..5 {
                // Chunks beyond what is captured: one request outstanding, nothing can hide.
                session.ask(client, GET);
                session.answer(client, &large);
            }
            session.ask(client, b"HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n");
            session.answer(client, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 204 No Content\r\n\r\n");
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
            session.ask(client, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
            session.answer(client, b"HTTP/1.1 100 Continue\r\n\r\n");
            session.ask(client, b"ab");
            session.answer(client, OK);
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts");
            session.answer(client, &[b'x'; 9000]);
            session.close(client);
        },
        (10, 0, 1, Counted::Exact),
    );
}

#[test]
fn redirects_count_each_hop() {
    each(
        |session| {
            let client = session.connect(4000);
            for _ in 0..3 {
                session.ask(client, GET);
                session.answer(client, b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
            }
            session.ask(client, GET);
            session.answer(client, OK);
            session.close(client);
        },
        (4, 0, 1, Counted::Exact),
    );
}

#[test]
fn a_websocket_counts_its_upgrade() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"GET /ws HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
            session.answer(client, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
            for _ in 0..200 {
                session.ask(client, b"\x81\x82abcdxy");
                session.answer(client, b"\x81\x05ackxy");
            }
            session.close(client);
        },
        (1, 0, 1, Counted::Exact),
    );
}

#[test]
fn answered_before_the_body_was_sent() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc");
            session.answer(client, b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
            session.ask(client, &[b'x'; 5000]);
            session.close(client);
        },
        (1, 0, 1, Counted::Exact),
    );
}

#[test]
fn requests_without_a_whole_answer_failed() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, GET);
            session.answer(client, OK);
            session.ask(client, GET);
            session.close(client);
            let client = session.connect(4001);
            session.ask(client, GET);
            session.answer(client, b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nabc");
            session.close(client);
        },
        (1, 2, 2, Counted::Exact),
    );
}

#[test]
fn refused_and_unused_connections() {
    let mut session = Session::new(false, 65536);
    session.connect(4000);
    let refused = session.connect(4001);
    session.recording.sockets[refused].states[1].to = TcpState::Close;
    session.recording.sockets[1].sent_bytes = 0;
    let flows = session.flows();
    // Neither moved a byte; one was established.
    assert_eq!(counts(&flows), (0, 0, 1, Counted::Exact));
    assert_eq!((flows.peers[0].failed_connects, flows.peers[0].protocol.as_str()), (1, "tcp"));
}

#[test]
fn a_server_alone_is_inbound() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    // Forget the client's end.
    let mut recording = session.recording;
    recording.sockets.remove(0);
    recording.events.retain(|event| matches!(event, Event::Message(message) if message.socket == SocketId(1)));
    for event in &mut recording.events {
        if let Event::Message(message) = event {
            message.socket = SocketId(0);
        }
    }
    let flows = flows(&recording);
    assert_eq!(flows.peers, []);
    assert_eq!(flows.round_trips.len(), 1);
    assert!(flows.round_trips[0].inbound && flows.round_trips[0].peer.is_none());
}

#[test]
fn lost_records_weaken_the_count() {
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    session.recording.losses.add(Loss::RingFullMessage, 1);
    assert_eq!(counts(&session.flows()), (1, 0, 1, Counted::AtLeast));
}

#[test]
fn a_client_that_speaks_before_its_server_accepts() {
    let mut session = Session::new(true, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.close(client);
    session.recording.sockets[client + 1].first_seen = Nanos(session.now + 5);
    assert_eq!(session.flows().pairs, [Some(SocketId(1)), Some(SocketId(0))]);
}

/// Where the head of the first ends is not known; what was asked before its end is answered all the same.
#[test]
fn a_request_that_was_not_captured_whole_hides_no_answer() {
    each(
        |session| {
            let client = session.connect(4000);
            session.ask(client, &[b"GET /a HTTP/1.1\r\nCookie: ", &[b'x'; 2 * CAPTURED][..], b"\r\n\r\n"].concat());
            session.ask(client, GET);
            session.answers(client, &[OK, OK]);
            session.close(client);
        },
        (2, 0, 1, Counted::Exact),
    );
}
