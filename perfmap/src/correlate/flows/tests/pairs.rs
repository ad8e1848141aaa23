//! Which two ends are one connection.

use super::*;

#[test]
fn unix_ends_by_kernel_address() {
    let mut session = Session::new(true, 65536);
    let first = session.connect(4000);
    for (index, kernel, peer) in [(first, 10, 11), (first + 1, 11, 0)] {
        let socket = &mut session.recording.sockets[index];
        (socket.family, socket.local, socket.remote) = (Family::Unix, None, None);
        (socket.kernel, socket.peer_kernel) = (kernel, peer);
        socket.states.clear();
    }
    session.ask(first, GET);
    session.answer(first, OK);
    let flows = session.flows();
    assert_eq!(flows.pairs, [Some(SocketId(1)), Some(SocketId(0))]);
    assert_eq!(counts(&flows), (1, 0, 1, Counted::Exact));
    assert_eq!((flows.peers[0].address.as_str(), flows.peers[0].process), ("unix", Some(ProcessId(1))));
}

#[test]
fn loopback_addresses_mean_something_in_their_own_network_alone() {
    let mut session = Session::new(true, 4096);
    let left = session.connect(40000);
    let right = session.connect(40000);
    for (first, network) in [(left, 1), (right, 2)] {
        session.recording.sockets[first].network = network;
        session.recording.sockets[first + 1].network = network;
    }
    // Seen the other way round: by time alone left would belong to right.
    session.recording.sockets[left + 1].first_seen = Nanos(900);
    let pairs = session.flows().pairs;
    assert_eq!(pairs, [1, 0, 3, 2].map(|other| Some(SocketId(other))));
    session.recording.sockets[left + 1].network = 3;
    session.recording.sockets[right + 1].network = 4;
    assert_eq!(session.flows().pairs, [None; 4]);
}

/// A published port: the client asks 127.0.0.9:80, the server answers from 127.0.0.2:8000.
fn published(session: &mut Session, from: u16, seen_as: Address) -> usize {
    let (source, asked) = (Address { ip: ip(1), port: from }, Address { ip: ip(9), port: 80 });
    let client = session.end(Role::Client, source, asked, 0);
    let server = session.end(Role::Server, Address { ip: ip(2), port: 8000 }, seen_as, 1);
    let made = Nanos(session.now + 35);
    session.recording.sockets[server].states =
        vec![StateChange { at: made, from: TcpState::SynReceived, to: TcpState::Established }];
    client
}

#[test]
fn rewritten_connections_are_joined_by_what_is_left_and_by_time() {
    let mut session = Session::new(true, 4096);
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    published(&mut session, 40002, Address { ip: ip(7), port: 40002 });
    assert_eq!(session.flows().pairs, [1, 0, 3, 2].map(|other| Some(SocketId(other))));
    // Established before it was asked for, or long after: somebody else's.
    session.recording.sockets[0].states[0].at = Nanos(36);
    session.recording.sockets[3].states[0].at = Nanos(60_000_000);
    assert_eq!(session.flows().pairs, [None; 4]);
}

#[test]
fn two_candidates_are_none() {
    let mut session = Session::new(true, 4096);
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    published(&mut session, 40001, Address { ip: ip(1), port: 40001 });
    assert_eq!(session.flows().pairs, [None; 4]);
}
