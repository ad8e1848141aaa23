use super::*;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

fn ask(stream: &mut TcpStream, other: &mut TcpStream) {
    stream.write_all(b"a question").expect("sent");
    other.read_exact(&mut [0; 10]).expect("received");
    other.write_all(b"answer").expect("sent");
    stream.read_exact(&mut [0; 6]).expect("received");
}

/// Both ends are ours; a connection that was there before counts from then on.
#[test]
fn exchanges_of_both_ends_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("address");
    let connect = || {
        let stream = TcpStream::connect(address).expect("connected");
        (stream, listener.accept().expect("accepted").0)
    };
    let mut old = connect();
    ask(&mut old.0, &mut old.1);
    let alive = BTreeSet::from([std::process::id()]);
    let mut exchanges = Exchanges::begin(0);
    let mut new = connect();
    for _ in 0..3 {
        exchanges.look(&alive);
        ask(&mut new.0, &mut new.1);
    }
    ask(&mut old.0, &mut old.1);
    exchanges.look(&alive);
    let sums: BTreeMap<Peer, Sum> = exchanges.sums().into_iter().collect();
    // Other tests of this process have connections of their own.
    let opened = sums.get(&Peer::At(address)).expect("the asking ends");
    // Four questions; where both ways moved between two looks, two looks may share a turn.
    assert_eq!((opened.connections, opened.moved), (2, Moved { sent: 40, received: 24 }));
    assert!(opened.is_local);
    assert!((2..=4).contains(&opened.exchanges), "{opened:?}");
    let accepted = sums.get(&Peer::Of(address.port())).expect("the answering ends");
    assert_eq!((accepted.connections, accepted.moved), (2, Moved { sent: 24, received: 40 }));
}

#[test]
fn another_process_has_none_of_them() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("address");
    let mut exchanges = Exchanges::begin(0);
    let _stream = TcpStream::connect(address).expect("connected");
    let _other = listener.accept().expect("accepted");
    for _ in 0..7 {
        exchanges.look(&BTreeSet::new());
    }
    assert_eq!(exchanges.sums(), []);
    assert!(exchanges.others.values().all(|tries| *tries <= TRIES));
}

#[test]
fn what_is_told_is_at_least() {
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let sum = Sum { connections: 2, exchanges: 7, moved: Moved { sent: 40, received: 24 }, is_local: false };
    let told = notes(&[(Peer::At(address), sum)], Some(9));
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with(
        "TCP connections opened to 10.0.0.1:80: at least 7 exchanges on at least 2 connections, 40 bytes sent and 24 received"
    ));
    assert!(told[1].starts_with("9 TCP connections were opened in this network namespace"));
    assert_eq!(notes(&[], Some(0)), Vec::<String>::new());
    let many: Vec<(Peer, Sum)> = (0..20).map(|port| (Peer::Of(port), sum)).collect();
    assert_eq!(notes(&many, None).len(), TOLD + 1);
    let found = far_ends(&[(Peer::Of(80), sum), (Peer::At(address), sum)]);
    let [one] = &found[..] else { panic!("{found:?}") };
    assert_eq!((one.connections, one.exchanges, one.sent, one.received, one.is_local), (2, 7, 40, 24, false));
    assert_eq!((&one.remote.ip[10..], one.remote.port), (&[255, 255, 10, 0, 0, 1][..], 80));
}

#[test]
fn opened_connections_are_read() {
    assert!(opened(std::process::id()).is_some());
}
