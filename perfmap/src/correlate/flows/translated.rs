//! Connections whose addresses somebody rewrote on the way (NAT: a container's published port, a masqueraded source):
//! the ends do not carry each other's addresses. What is left of the client in the server's view is its own address, or
//! where that was rewritten too its port, which the kernel keeps where it can; and both ends are established at the same
//! time, because the last packet of the handshake is the client's. An end with two candidates gets none. Of connections that
//! are older than the recording the kernel's connection tracking told both ends' addresses.

use std::{collections::BTreeMap, net::Ipv6Addr};

use crate::recording::{Address, Ends, Family, Nanos, Role, Socket, SocketId, TcpState, Translation};

const STREAM: u16 = 1;
/// The server's end is established when the client's last packet arrives: microseconds later on one host, more where its
/// CPU is busy.
const LATE: Nanos = Nanos(50_000_000);

/// Adds to `pairs` what the kernel's connection tracking said. Ends that share their addresses with others get none.
pub(super) fn known(sockets: &[Socket], translations: &[Translation], pairs: &mut [Option<SocketId>]) {
    if translations.is_empty() {
        return;
    }
    let mut by_ends: BTreeMap<Ends, Vec<usize>> = BTreeMap::new();
    for (index, socket) in sockets.iter().enumerate().filter(|(_, socket)| is_tcp(socket)) {
        if let (Some(local), Some(remote)) = (socket.local, socket.remote) {
            by_ends.entry(Ends { local, remote }).or_default().push(index);
        }
    }
    for Translation { network, client, server } in translations {
        let one = |ends: &Ends| match by_ends.get(ends).map(Vec::as_slice) {
            Some([one]) if pairs[*one].is_none() => Some(*one),
            Some(_) | None => None,
        };
        let (Some(client), Some(server)) = (one(client), one(server)) else { continue };
        // Loopback addresses are others in other networks.
        let here = sockets[client].local.is_none_or(|local| !is_loopback(local)) || sockets[client].network == *network;
        if here && client != server {
            pairs[client] = Some(SocketId(server as u32));
            pairs[server] = Some(SocketId(client as u32));
        }
    }
}

/// Adds to `pairs`, which holds all that addresses and connection tracking tell.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::ProcessId;

    const fn at(network: u8, port: u16) -> Address {
        Address { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, network, 0, 0, 1], port }
    }

    fn socket(local: Address, remote: Address, network: u32) -> Socket {
        let unknown = Socket::unknown(ProcessId(0));
        Socket { family: Family::Ipv4, kind: STREAM, local: Some(local), remote: Some(remote), network, ..unknown }
    }

    fn told(client: u8) -> Translation {
        let server = Ends { local: at(30, 80), remote: at(31, 999) };
        Translation { network: 1, client: Ends { local: at(client, 4000), remote: at(20, 8080) }, server }
    }

    fn joined(sockets: &[Socket], translation: Translation) -> Vec<Option<u32>> {
        let mut pairs = vec![None; sockets.len()];
        known(sockets, &[translation], &mut pairs);
        pairs.into_iter().map(|pair| pair.map(|id| id.0)).collect()
    }

    #[test]
    fn older_connections_are_joined_by_what_the_kernel_tracked() {
        let client = |network: u8, inode| socket(at(network, 4000), at(20, 8080), inode);
        let server = socket(at(30, 80), at(31, 999), 2);
        let other = socket(at(30, 80), at(31, 998), 2);
        let sockets = [other.clone(), client(10, 5), server.clone()];
        assert_eq!(joined(&sockets, told(10)), [None, Some(2), Some(1)]);
        assert_eq!(joined(&[client(10, 5), other], told(10)), [None, None]);
        // Another machine's loopback.
        assert_eq!(joined(&[client(127, 5), server.clone()], told(127)), [None, None]);
        assert_eq!(joined(&[client(127, 1), server.clone()], told(127)), [Some(1), Some(0)]);
        // The same addresses twice: who is meant cannot be told.
        assert_eq!(joined(&[client(10, 5), server.clone(), server], told(10)), [None; 3]);
    }
}
