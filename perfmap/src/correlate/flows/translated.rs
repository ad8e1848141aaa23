//! Connections whose addresses somebody rewrote on the way (NAT: a container's published port, a masqueraded source):
//! the ends do not carry each other's addresses. What is left of the client in the server's view is its own address, or
//! where that was rewritten too its port, which the kernel keeps where it can; and both ends are established at the same
//! time, because the last packet of the handshake is the client's. An end with two candidates gets none.

use std::{collections::BTreeMap, net::Ipv6Addr};

use crate::recording::{Address, Family, Nanos, Role, Socket, SocketId, TcpState};

const STREAM: u16 = 1;
/// The server's end is established when the client's last packet arrives: microseconds later on one host, more where its
/// CPU is busy.
const LATE: Nanos = Nanos(50_000_000);

/// Adds to `pairs`, which holds all that addresses tell.
pub(super) fn join(sockets: &[Socket], pairs: &mut [Option<SocketId>]) {
    let unpaired = |index: &usize| pairs[*index].is_none() && is_tcp(&sockets[*index]);
    let all: Vec<usize> = (0..sockets.len()).filter(unpaired).collect();
    let clients: Vec<usize> = all.iter().copied().filter(|index| sockets[*index].role == Role::Client).collect();
    let mut servers: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for index in all.into_iter().filter(|index| sockets[*index].role == Role::Server) {
        if let Some(remote) = sockets[index].remote {
            servers.entry(remote.port).or_default().push(index);
        }
    }
    for same_address in [true, false] {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for client in clients.iter().copied().filter(|client| pairs[*client].is_none()) {
            let port = sockets[client].local.map_or(0, |local| local.port);
            let candidates =
                servers.get(&port).into_iter().flatten().copied().filter(|server| {
                    pairs[*server].is_none() && fits(&sockets[client], &sockets[*server], same_address)
                });
            found.extend(candidates.map(|server| (client, server)));
        }
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        for end in found.iter().flat_map(|(client, server)| [client, server]) {
            *counts.entry(*end).or_default() += 1;
        }
        for (client, server) in found {
            if counts.get(&client) == Some(&1) && counts.get(&server) == Some(&1) {
                pairs[client] = Some(SocketId(server as u32));
                pairs[server] = Some(SocketId(client as u32));
            }
        }
    }
}

fn is_tcp(socket: &Socket) -> bool {
    socket.kind == STREAM && matches!(socket.family, Family::Ipv4 | Family::Ipv6)
}

fn fits(client: &Socket, server: &Socket, same_address: bool) -> bool {
    let (Some(source), Some(seen)) = (client.local, server.remote) else { return false };
    let when = |socket: &Socket, to| socket.states.iter().find(|change| change.to == to).map(|change| change.at);
    let (asked, made) = (when(client, TcpState::SynSent), when(client, TcpState::Established));
    let (Some(asked), Some(made), Some(accepted)) = (asked, made, when(server, TcpState::Established)) else {
        return false;
    };
    // A loopback address that was not rewritten cannot be seen from elsewhere.
    let reachable = !is_loopback(seen) || client.network == server.network;
    let addresses = if same_address { source == seen } else { source.port == seen.port && source.ip != seen.ip };
    addresses && reachable && asked <= accepted && accepted <= made.plus(LATE)
}

pub(super) fn is_loopback(address: Address) -> bool {
    Ipv6Addr::from(address.ip).to_canonical().is_loopback()
}
