//! Socket ends → which two are one connection. TCP by the swapped addresses (all addresses are 16 bytes, so that a v4
//! client matches the AF_INET6 end of a dual-stack server), Unix sockets by the kernel's addresses. Both are used
//! again after a close, so life times decide between candidates. Addresses that never leave their network namespace
//! (loopback, a host's own) are compared within it alone: 127.0.0.1 is another machine's in each container.
//! Connections whose addresses were rewritten are `translated`'s.

use std::collections::BTreeMap;

use super::translated::{self, is_loopback};
use crate::recording::{Address, Family, Nanos, Socket, SocketId, Translation};

/// What two ends share; the smaller address first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Kind, network namespace where that matters, addresses.
    Addresses(u16, u32, Address, Address),
    Kernel(u64, u64),
}

/// By `SocketId`: the other end. Symmetrical.
pub(super) fn pairs(sockets: &[Socket], translations: &[Translation]) -> Vec<Option<SocketId>> {
    let mut groups: BTreeMap<Key, [Vec<usize>; 2]> = BTreeMap::new();
    for (index, socket) in sockets.iter().enumerate() {
        if let Some((key, side)) = key(socket) {
            groups.entry(key).or_default()[side].push(index);
        }
    }
    let mut pairs = vec![None; sockets.len()];
    for [mut left, mut right] in groups.into_values() {
        left.sort_by_key(|index| (sockets[*index].first_seen, *index));
        right.sort_by_key(|index| (sockets[*index].first_seen, *index));
        join(sockets, &left, &right, &mut pairs);
    }
    late(sockets, &mut pairs);
    translated::known(sockets, translations, &mut pairs);
    translated::join(sockets, &mut pairs);
    pairs
}

fn key(socket: &Socket) -> Option<(Key, usize)> {
    if socket.family == Family::Unix {
        let (own, peer) = (socket.kernel, socket.peer_kernel);
        let known = own != 0 && peer != 0 && own != peer;
        return known.then(|| (Key::Kernel(own.min(peer), own.max(peer)), usize::from(own > peer)));
    }
    let (local, remote) = (socket.local?, socket.remote?);
    let known = local != remote && local.port != 0 && remote.port != 0;
    let stays = is_loopback(local) || is_loopback(remote) || local.ip == remote.ip;
    let network = if stays { socket.network } else { 0 };
    let key = Key::Addresses(socket.kind, network, local.min(remote), local.max(remote));
    known.then_some((key, usize::from(local > remote)))
}

fn end(socket: &Socket) -> Nanos {
    socket.closed.unwrap_or(Nanos(u64::MAX))
}

/// Both lists in order of time. Ends whose lives overlap belong together; a server may also come to its end only
/// after the client has closed (accept queue), as long as no later client can be meant.
fn join(sockets: &[Socket], left: &[usize], right: &[usize], pairs: &mut [Option<SocketId>]) {
    let (mut l, mut r) = (0, 0);
    while let (Some(&a), Some(&b)) = (left.get(l), right.get(r)) {
        let apart = |first: usize, second: usize, next: Option<&usize>| {
            end(&sockets[first]) < sockets[second].first_seen
                && next.is_some_and(|next| sockets[*next].first_seen <= sockets[second].first_seen)
        };
        if apart(a, b, left.get(l + 1)) {
            l += 1;
        } else if apart(b, a, right.get(r + 1)) {
            r += 1;
        } else {
            pairs[a] = Some(SocketId(b as u32));
            pairs[b] = Some(SocketId(a as u32));
            l += 1;
            r += 1;
        }
    }
}

/// Unix ends of which only one knows the other (seen before its connection was made).
fn late(sockets: &[Socket], pairs: &mut [Option<SocketId>]) {
    let unix = |index: &usize| sockets[*index].family == Family::Unix;
    let mut unknowing: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for index in (0..sockets.len()).filter(unix).filter(|index| sockets[*index].peer_kernel == 0) {
        unknowing.entry(sockets[index].kernel).or_default().push(index);
    }
    for index in (0..sockets.len()).filter(unix) {
        let peer = sockets[index].peer_kernel;
        if pairs[index].is_some() || peer == 0 {
            continue;
        }
        let found = unknowing.get(&peer).into_iter().flatten().copied().find(|other| {
            *other != index
                && pairs[*other].is_none()
                && sockets[*other].first_seen <= end(&sockets[index])
                && sockets[index].first_seen <= end(&sockets[*other])
        });
        if let Some(other) = found {
            pairs[index] = Some(SocketId(other as u32));
            pairs[other] = Some(SocketId(index as u32));
        }
    }
}
