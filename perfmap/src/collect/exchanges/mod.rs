//! What an ordinary user can tell of the target's messages: TCP connections of its tree, looked at a hundred times a second
//! in the kernel's socket statistics → how often bytes went one way and then the other, at least. What was said is not
//! known: a request is one exchange as a rule, several where TLS shakes hands, and less than one where more of them go
//! between two looks. Connections that come and go between two looks are not seen.

mod diag;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
};

use super::{clock::thread_cpu_ns, process, procfs::network_namespace};
use crate::recording::{Address, FarEnd};
use diag::{Answer, Connection, Diag};
use turns::{Moved, Turns};

const PERIOD_NS: u64 = 10_000_000;
/// At most so many parts of a hundred of one CPU go into looking: a machine may have many sockets.
const SHARE: u64 = 2;
/// A process that has just been forked may not be known yet when its socket is seen first.
const TRIES: u32 = 5;
const MOST: usize = 65_536;
const DESCRIPTORS: usize = 4096;
/// Ends of connections that are told one by one, as sentences and as peers.
const TOLD: usize = 12;
const FAR_ENDS: usize = 256;
const SNMP_BYTES: u64 = 64 << 10;

/// With whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    /// Opened by the tree, to there.
    At(SocketAddr),
    /// Accepted by it, at this port.
    Of(u16),
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    peer: Peer,
    is_local: bool,
    turns: Turns,
    began: Moved,
    moved: Moved,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    connections: u64,
    exchanges: u64,
    moved: Moved,
    /// The far end is on this host.
    is_local: bool,
}

pub struct Exchanges {
    diag: Result<Diag, String>,
    period: u64,
    next: u64,
    /// Of sockets that were there before, by cookie.
    before: HashMap<u64, Moved>,
    followed: BTreeMap<u64, Followed>,
    /// Not the tree's: how often it was looked for there.
    others: HashMap<u64, u32>,
    listening: BTreeSet<u16>,
    /// Connections that this network namespace had opened before; None: it is not told.
    opened_before: Option<u64>,
    elsewhere: BTreeSet<u32>,
    known: BTreeSet<u32>,
    namespace: u32,
    overflowed: bool,
}

impl Exchanges {
    /// Before the target runs.
    pub fn begin(now: u64) -> Exchanges {
        let diag = Diag::open().and_then(|diag| Ok((diag.ask()?, diag)));
        let (answer, diag) = match diag {
            Ok((answer, diag)) => (answer, Ok(diag)),
            Err(error) => (Answer::default(), Err(refused(&error))),
        };
        Exchanges {
            diag,
            period: PERIOD_NS,
            next: now,
            before: answer.connections.iter().map(|one| (one.cookie, one.moved)).collect(),
            followed: BTreeMap::new(),
            others: HashMap::new(),
            listening: BTreeSet::new(),
            opened_before: opened(std::process::id()),
            elsewhere: BTreeSet::new(),
            known: BTreeSet::new(),
            namespace: network_namespace(std::process::id()),
            overflowed: false,
        }
    }

    pub fn tick(&mut self, now: u64, alive: &BTreeSet<u32>) {
        if now < self.next {
            return;
        }
        let before = thread_cpu_ns();
        self.look(alive);
        let cost = thread_cpu_ns().saturating_sub(before);
        self.next = now + self.period.max(cost.saturating_mul(100 / SHARE));
    }

    fn look(&mut self, alive: &BTreeSet<u32>) {
        for pid in alive.difference(&self.known) {
            let namespace = network_namespace(*pid);
            if namespace != 0 && namespace != self.namespace {
                self.elsewhere.insert(*pid);
            }
        }
        self.known.clone_from(alive);
        let answer = match self.diag.as_ref().map(Diag::ask) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.diag = Err(refused(&error));
                return;
            }
            Err(_) => return,
        };
        self.listening.extend(&answer.listening);
        let unknown = |one: &&Connection| {
            one.inode != 0
                && !self.followed.contains_key(&one.cookie)
                && self.others.get(&one.cookie).is_none_or(|tries| *tries < TRIES)
        };
        let asked: Vec<Connection> = answer.connections.iter().filter(unknown).copied().collect();
        if !asked.is_empty() {
            let own = sockets(alive);
            asked.into_iter().for_each(|one| self.meet(one, own.contains(&one.inode)));
        }
        for one in &answer.connections {
            if let Some(followed) = self.followed.get_mut(&one.cookie) {
                followed.turns.look(one.moved);
                followed.moved = one.moved;
            }
        }
    }

    fn meet(&mut self, one: Connection, own: bool) {
        if self.followed.len().max(self.others.len()) >= MOST {
            self.overflowed = true;
            return;
        }
        if !own {
            *self.others.entry(one.cookie).or_default() += 1;
            return;
        }
        let peer = match self.listening.contains(&one.local.port()) {
            true => Peer::Of(one.local.port()),
            false => Peer::At(one.remote),
        };
        let began = self.before.get(&one.cookie).copied().unwrap_or_default();
        let is_local = one.remote.ip().is_loopback() || one.remote.ip() == one.local.ip();
        self.others.remove(&one.cookie);
        self.followed.insert(one.cookie, Followed { peer, is_local, turns: Turns::after(began), began, moved: began });
    }

    fn sums(&self) -> Vec<(Peer, Sum)> {
        let mut sums: BTreeMap<Peer, Sum> = BTreeMap::new();
        for Followed { peer, is_local, turns, began, moved } in self.followed.values() {
            let sum = sums.entry(*peer).or_default();
            sum.connections += 1;
            sum.is_local |= is_local;
            sum.exchanges += turns.exchanges();
            sum.moved.sent += moved.sent.saturating_sub(began.sent);
            sum.moved.received += moved.received.saturating_sub(began.received);
        }
        let mut sums: Vec<(Peer, Sum)> = sums.into_iter().collect();
        sums.sort_by_key(|(peer, sum)| (std::cmp::Reverse(sum.exchanges), *peer));
        sums
    }

    /// A last look, and what all came to.
    pub fn finish(mut self, alive: &BTreeSet<u32>) -> Told {
        self.look(alive);
        let sums = self.sums();
        let opened = self.opened_before.zip(opened(std::process::id())).map(|(before, now)| now.saturating_sub(before));
        let mut notes = notes(&sums, opened);
        if let Err(why) = &self.diag {
            notes.push(format!("exchanges on TCP connections are not counted: socket statistics are refused ({why})"));
        }
        if !self.elsewhere.is_empty() {
            notes.push(format!(
                "{} processes were in another network namespace: exchanges on their TCP connections are not counted",
                self.elsewhere.len()
            ));
        }
        if self.overflowed {
            notes.push(format!("TCP connections beyond {MOST} were not looked at"));
        }
        Told { notes, far_ends: far_ends(&sums) }
    }
}

/// What the report says of them, and what its map has.
#[derive(Debug, Default)]
pub struct Told {
    pub notes: Vec<String>,
    pub far_ends: Vec<FarEnd>,
}

/// Those that the tree opened connections to; who opened some to it is not one end.
fn far_ends(sums: &[(Peer, Sum)]) -> Vec<FarEnd> {
    let one = |(peer, sum): &(Peer, Sum)| match peer {
        Peer::Of(_) => None,
        Peer::At(remote) => {
            let Sum { connections, exchanges, moved: Moved { sent, received }, is_local } = *sum;
            let ip = match remote.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let remote = Address { ip, port: remote.port() };
            Some(FarEnd { remote, is_local, connections, exchanges, sent, received })
        }
    };
    sums.iter().filter_map(one).take(FAR_ENDS).collect()
}

fn notes(sums: &[(Peer, Sum)], opened: Option<u64>) -> Vec<String> {
    let mut notes: Vec<String> = sums
        .iter()
        .take(TOLD)
        .map(|(peer, Sum { connections, exchanges, moved, is_local: _ })| {
            let with = match peer {
                Peer::At(remote) => format!("opened to {remote}"),
                Peer::Of(port) => format!("accepted at port {port}"),
            };
            format!(
                "TCP connections {with}: at least {exchanges} exchanges on at least {connections} connections, {} bytes sent and {} \
                 received (socket statistics; an exchange is bytes one way and then the other, what was said is not known, nor in which \
                 step)",
                moved.sent, moved.received
            )
        })
        .collect();
    if let Some(more) = sums.len().checked_sub(TOLD).filter(|more| *more > 0) {
        notes.push(format!("TCP connections with {more} more ends had fewer exchanges"));
    }
    let followed: u64 =
        sums.iter().filter(|(peer, _)| matches!(peer, Peer::At(_))).map(|(_, sum)| sum.connections).sum();
    if let Some(opened) = opened.filter(|opened| *opened > followed) {
        notes.push(format!(
            "{opened} TCP connections were opened in this network namespace meanwhile, by whomever; {followed} of the command's \
             lasted long enough to be seen"
        ));
    }
    notes
}

fn refused(error: &io::Error) -> String {
    error.to_string()
}

/// Inodes of all sockets that these processes have open.
fn sockets(alive: &BTreeSet<u32>) -> HashSet<u32> {
    let open = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/fd")).ok();
    alive
        .iter()
        .filter_map(open)
        .flat_map(|descriptors| descriptors.flatten().take(DESCRIPTORS))
        .filter_map(|descriptor| {
            let link = std::fs::read_link(descriptor.path()).ok()?;
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// `ActiveOpens` of the process's network namespace.
fn opened(pid: u32) -> Option<u64> {
    let bytes = process::bytes(pid, "net/snmp", SNMP_BYTES);
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, figures) = (lines.next()?, lines.next()?);
    let at = names.split_ascii_whitespace().position(|name| name == "ActiveOpens")?;
    figures.split_ascii_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
