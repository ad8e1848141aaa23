//! Far ends of connections whose messages nobody saw → peers with the exchanges that socket statistics told, at least.
//! When each exchange was is not known, so that no step has one.

use std::net::{Ipv6Addr, SocketAddr};

use super::model::{Counted, Peer};
use crate::recording::{FarEnd, Recording};

/// Those that `known` has not: what was seen in detail is told by that.
pub(super) fn peers(recording: &Recording, known: &[Peer]) -> Vec<Peer> {
    let mut found: Vec<Peer> = Vec::new();
    for FarEnd { remote, is_local, connections, exchanges, sent, received } in &recording.far_ends {
        let address = SocketAddr::new(Ipv6Addr::from(remote.ip).to_canonical(), remote.port).to_string();
        if known.iter().chain(&found).any(|peer| peer.address == address) {
            continue;
        }
        found.push(Peer {
            service: None,
            address,
            protocol: "tcp".to_owned(),
            round_trips: *exchanges,
            failed: 0,
            connections: *connections,
            bytes_sent: *sent,
            bytes_received: *received,
            latency: None,
            connect: None,
            tls_handshake: None,
            counted: Counted::AtLeast,
            local: *is_local,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Address;
    use std::net::Ipv4Addr;

    #[test]
    fn each_far_end_is_a_peer_once_and_what_was_seen_goes_first() {
        let remote = |last| Address { ip: Ipv4Addr::new(10, 0, 0, last).to_ipv6_mapped().octets(), port: 80 };
        let far = |last| FarEnd {
            remote: remote(last),
            is_local: false,
            connections: 2,
            exchanges: 7,
            sent: 40,
            received: 24,
        };
        let recording = Recording { far_ends: vec![far(1), far(2), far(1)], ..Recording::default() };
        let all = peers(&recording, &[]);
        let addresses: Vec<&str> = all.iter().map(|peer| peer.address.as_str()).collect();
        assert_eq!(addresses, ["10.0.0.1:80", "10.0.0.2:80"]);
        assert!(all.iter().all(|peer| peer.counted == Counted::AtLeast && peer.round_trips == 7));
        assert_eq!(peers(&recording, &all[..1]), all[1..]);
    }
}
