//! A candidate → its class and what is said about it. The two tables are the whole of the rules.

use std::net::IpAddr;

use crate::{
    map::{Lock, Map, Peer, PeerCall, Step, StepKind, WaitCause},
    recording::Nanos,
};

use super::{
    candidate::{Candidate, is_call},
    types::{CallProtocol, Class, Detail},
};

/// What a step's kind alone decides. `None`: its largest wait decides.
fn class_of_kind(kind: StepKind, network: Class) -> Option<Class> {
    match kind {
        StepKind::HttpCall | StepKind::GrpcCall | StepKind::QueueOp => Some(network),
        StepKind::DbQuery => Some(Class::IoDb),
        StepKind::CacheOp => Some(Class::Cache),
        StepKind::FileIo => Some(Class::IoFile),
        StepKind::LockWait => Some(Class::Lock),
        StepKind::Sleep => Some(Class::Wait),
        StepKind::Gpu => Some(Class::Infrastructure),
        StepKind::FunctionCall | StepKind::Subprocess | StepKind::Loop => None,
    }
}

/// What the largest wait decides. A pipe is a queue that another process of ours serves; a child that shows no steps
/// of its own, and a wait without a cause, explain nothing.
fn class_of_wait(cause: WaitCause, network: Class) -> Class {
    match cause {
        WaitCause::Network => network,
        WaitCause::Db => Class::IoDb,
        WaitCause::Disk => Class::IoFile,
        WaitCause::Lock | WaitCause::Pipe => Class::Lock,
        WaitCause::Sleep => Class::Wait,
        WaitCause::RunQueue | WaitCause::Throttled | WaitCause::Gpu => Class::Infrastructure,
        WaitCause::Child | WaitCause::Other => Class::Unknown,
    }
}

pub fn judge(map: &Map, candidate: &Candidate<'_>) -> (Class, Detail) {
    let class = class(map, candidate);
    (class, detail(map, candidate, class))
}

fn class(map: &Map, candidate: &Candidate<'_>) -> Class {
    let cpu = candidate.parts.cpu;
    let longest = candidate.parts.longest_wait();
    if is_mostly(cpu, candidate.time) {
        return Class::Cpu;
    }
    // What it waits for is its turn to compute. A call's own parts are what is left beside its answer.
    if matches!(longest, Some((WaitCause::Lock, length)) if length > cpu && is_mostly(length.plus(cpu), candidate.time))
        && waits_for_interpreter(map, candidate.step)
    {
        return Class::Cpu;
    }
    if sleeps_between_calls(candidate) {
        return Class::Wait;
    }
    let network = network_class(map, candidate.step);
    if let Some(class) = candidate.step.and_then(|step| class_of_kind(step.kind, network)) {
        return class;
    }
    match longest {
        Some((cause, length)) if length > cpu => class_of_wait(cause, network),
        _ if cpu > Nanos::ZERO => Class::Cpu,
        _ => Class::Unknown,
    }
}

fn detail(map: &Map, candidate: &Candidate<'_>, class: Class) -> Detail {
    let time = candidate.time;
    let Some(step) = candidate.step else {
        let largest = map.outside.top.first().filter(|(_, length)| is_mostly(*length, time));
        return Detail::Outside { time, largest: largest.map(|(name, _)| name.clone()) };
    };
    if class == Class::Cpu {
        let longest = candidate.parts.longest_wait();
        let is_wait = longest.is_some_and(|(cause, length)| cause == WaitCause::Lock && length > candidate.parts.cpu);
        return if is_wait { Detail::ForInterpreter { time } } else { Detail::OnCpu { time } };
    }
    if !sleeps_between_calls(candidate)
        && let Some(detail) = calls(step, time)
    {
        return detail;
    }
    if class == Class::IoFile {
        return Detail::FileIo { bytes_read: step.file_read, bytes_written: step.file_written, time };
    }
    match candidate.parts.longest_wait() {
        Some((cause, _)) => Detail::Waiting { cause, time },
        None => Detail::Unexplained { time },
    }
}

/// A client that polls, or holds itself back. One of a database that sleeps may have a transaction open all the while, which
/// others wait for: that stays the database's.
fn sleeps_between_calls(candidate: &Candidate<'_>) -> bool {
    let asks = |step: &Step| matches!(step.kind, StepKind::HttpCall | StepKind::GrpcCall);
    candidate.step.is_some_and(asks) && is_mostly(candidate.parts.waits.of(WaitCause::Sleep), candidate.time)
}

/// The function's waits for locks are mostly for CPython's one.
fn waits_for_interpreter(map: &Map, step: Option<&Step>) -> bool {
    let Some(step) = step else { return false };
    let is_its = |lock: &&Lock| {
        lock.service == step.service && lock.waiter.as_ref().is_some_and(|side| side.function == step.function)
    };
    let sum = |interpreter: bool| -> Nanos {
        map.locks.iter().filter(is_its).filter(|lock| lock.interpreter == interpreter).map(|lock| lock.waited).sum()
    };
    // Waits for pools and queues have no holder and stand in no list: they are what is left of the step's.
    sum(true) > sum(false) && sum(true).0 >= step.own_waits.of(WaitCause::Lock).0 / 2
}

fn calls(step: &Step, time: Nanos) -> Option<Detail> {
    let PeerCall { peer, sequential, round_trips, .. } = step.call.as_ref()?;
    let count = *round_trips;
    let protocol = match step.kind {
        StepKind::HttpCall => CallProtocol::Http,
        StepKind::GrpcCall => CallProtocol::Grpc,
        StepKind::DbQuery => CallProtocol::Database,
        StepKind::CacheOp => CallProtocol::Cache,
        StepKind::QueueOp => CallProtocol::Queue,
        StepKind::FunctionCall
        | StepKind::FileIo
        | StepKind::LockWait
        | StepKind::Sleep
        | StepKind::Subprocess
        | StepKind::Gpu
        | StepKind::Loop => return None,
    };
    let peer = peer.clone();
    Some(if *sequential && count >= 2 {
        Detail::SequentialCalls { count, protocol, peer, time }
    } else {
        Detail::Calls { count, protocol, peer, time }
    })
}

/// More than half. For a call with the peer's inside below it, the whole is the call with that inside.
fn is_mostly(part: Nanos, whole: Nanos) -> bool {
    u128::from(part.0) * 2 > u128::from(whole.0)
}

/// `External` where all that this step (or, where it names no peer, the whole tree) talked to is out of reach.
fn network_class(map: &Map, step: Option<&Step>) -> Class {
    let called = step.and_then(|step| step.call.as_ref()).map(|call| call.peer.as_str());
    let served_below =
        step.is_some_and(|step| is_call(step.kind) && step.children.iter().any(|child| child.service != step.service));
    let outside = match called {
        _ if served_below => false,
        Some(name) => {
            let mut known = map.peers.iter().filter(|peer| is_named(peer, name)).peekable();
            if known.peek().is_some() {
                known.all(|peer| is_external(map, peer))
            } else {
                !map.services.iter().any(|service| service == name) && is_public_address(name)
            }
        }
        None => !map.peers.is_empty() && map.peers.iter().all(|peer| is_external(map, peer)),
    };
    if outside { Class::External } else { Class::IoNetwork }
}

fn is_named(peer: &Peer, name: &str) -> bool {
    peer.address == name || peer.service.as_deref() == Some(name)
}

pub(super) fn is_external(map: &Map, peer: &Peer) -> bool {
    let traced = peer.service.as_ref().is_some_and(|service| map.services.contains(service));
    !peer.local && !traced && is_public_address(&peer.address)
}

/// "8.8.8.8:53" is; "10.1.2.3:80", "unix:/run/x" and what is no address are not.
fn is_public_address(address: &str) -> bool {
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    match host.parse::<IpAddr>() {
        Ok(ip) => !is_near(ip.to_canonical()),
        Err(_) => false,
    }
}

/// Networks of a host or a project: loopback, private, link-local, and those of carriers and overlay networks.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_out_of_reach() {
        for near in
            ["127.0.0.1:80", "10.0.0.3:5432", "172.17.0.2:80", "192.168.1.1:1", "100.64.0.9:2", "169.254.1.1:80"]
        {
            assert!(!is_public_address(near), "{near}");
        }
        for near in ["[::1]:80", "[fd00::1]:80", "[fe80::1]:80", "[::ffff:10.0.0.1]:80", "unix:/run/x", "", "mt-engine"]
        {
            assert!(!is_public_address(near), "{near}");
        }
        for far in ["93.184.216.34:443", "[2606:4700::1]:443", "172.32.0.1:80", "100.128.0.1:80", "8.8.8.8"] {
            assert!(is_public_address(far), "{far}");
        }
    }
}
