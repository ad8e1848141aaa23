//! Processes that ran already → followed ones, with their threads and children, without a gap: the probes are there
//! first, then a process is marked, then its threads are adopted, and only then /proc is read.
//!
//! Who is met at the far end of a followed task's connection is known from the kernel side; the rest of its service
//! (the program that started it, its other workers) is found here. Neither perfmap's own ancestors (the shell, the
//! session, init) nor perfmap itself are ever followed: the command would be among their children.

use std::collections::{BTreeMap, BTreeSet};

use crossbeam_channel::Sender;
use perfmap_common as wire;

use super::{
    CollectError, Mode, Plan,
    clock::monotonic_ns,
    connections::{Connections, Reader},
    conntrack,
    item::Item,
    object::{FarEnds, Object, Outsiders},
    peers::{Peer, Peers},
    process, surroundings,
    tree::Adopted,
};
use crate::{
    recording::{Address, Ends, Translation},
    unwind::{Root, read_mappings},
};

/// Most processes of one service: a pool of workers, not a machine's worth of sessions.
const FAMILY: usize = 1024;
/// Most network namespaces whose connection tracking is asked.
const NETWORKS: usize = 256;
/// Longest chain of parents that is climbed.
const ANCESTORS: usize = 64;

/// What programs run scripts: two of them are one service only where the script is the same.
const INTERPRETERS: [&str; 9] = ["python", "pypy", "node", "ruby", "perl", "php", "bash", "sh", "java"];

pub struct Adoption {
    peers: Peers,
    mode: Mode,
    outsiders: Outsiders,
    far_ends: FarEnds,
    never: BTreeSet<u32>,
    watched: BTreeSet<u32>,
    /// Told to the recorder, or found while only learning.
    introduced: BTreeSet<u32>,
    /// Introduced or announced; their families are still to be looked at.
    fresh: Vec<u32>,
    pub found: Vec<Peer>,
    /// By network namespace: connections that are older than perfmap and whose addresses are rewritten.
    translations: BTreeMap<u32, Vec<Translation>>,
    /// Processes that should have been followed, and for which there was no room.
    pub refused: u64,
    /// Introduced; what they had mapped is still to be looked at.
    pub mapped: Vec<u32>,
}

impl Adoption {
    pub fn new(object: &mut Object, plan: &Plan) -> Result<Adoption, CollectError> {
        let mut outsiders = object.outsiders()?;
        let mut never = ancestors(std::process::id());
        // A session may be watched; what watches it may not.
        never.retain(|pid| *pid == std::process::id() || !plan.peers.watched.contains(pid));
        for pid in &never {
            outsiders.set(*pid, wire::Verdict::Never);
        }
        Ok(Adoption {
            peers: plan.peers.clone(),
            mode: plan.mode,
            outsiders,
            far_ends: object.far_ends()?,
            never,
            watched: BTreeSet::new(),
            introduced: BTreeSet::new(),
            fresh: Vec::new(),
            found: Vec::new(),
            translations: BTreeMap::new(),
            refused: 0,
            mapped: Vec::new(),
        })
    }

    /// The kernel side adopted one of its threads at `at`: said before its records are passed on.
    pub fn met(&mut self, pid: u32, at: u64, sender: &Sender<Item>) -> Result<bool, CollectError> {
        if self.introduced.contains(&pid) {
            return Ok(false);
        }
        self.fresh.push(pid);
        self.introduce(pid, at, &mut Reader::default(), sender)?;
        Ok(true)
    }

    /// Not followed by the kernel side: only told.
    pub fn announced(&mut self, pid: u32) {
        self.fresh.push(pid);
    }

    pub fn ended(&mut self, pid: u32) {
        self.introduced.remove(&pid);
    }

    /// Follows what is watched, and what an earlier run found. Returns the pids that are followed from now on.
    pub fn begin(&mut self, object: &mut Object, sender: &Sender<Item>) -> Result<Vec<u32>, CollectError> {
        if !self.peers.watched.is_empty() {
            let foreign = |pid: u32| !self.never.contains(&pid);
            let family = below(&self.peers.watched, &parents(), &foreign);
            self.watched = family.iter().copied().collect();
            self.follow(object, &family, sender)?;
            return Ok(family);
        }
        let known: Vec<u32> = self.peers.known.iter().filter(|peer| peer.is_there()).map(|peer| peer.pid).collect();
        self.fresh.extend(known);
        self.tick(object, &BTreeSet::new(), sender)
    }

    /// Nothing that is watched is alive any more.
    pub fn all_gone(&self, alive: &BTreeSet<u32>) -> bool {
        self.watched.is_disjoint(alive)
    }

    /// Brings in the families of those met since the last call; `own` are the command's processes. Returns the pids
    /// that are followed from now on.
    pub fn tick(
        &mut self,
        object: &mut Object,
        own: &BTreeSet<u32>,
        sender: &Sender<Item>,
    ) -> Result<Vec<u32>, CollectError> {
        if self.fresh.is_empty() {
            return Ok(Vec::new());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let parents = parents();
        let foreign =
            |pid: u32| pid > 1 && !self.never.contains(&pid) && (!own.contains(&pid) || self.introduced.contains(&pid));
        let (mut heads, mut unwanted, mut glance) = (Vec::new(), Vec::new(), None);
        for pid in fresh {
            let line = line(pid, &parents, &foreign);
            match line.last() {
                Some(head) if self.peers.want(&line, &mut glance) => heads.push(*head),
                Some(_) | None => unwanted.push(pid),
            }
        }
        for pid in unwanted {
            self.outsiders.set(pid, wire::Verdict::Never);
        }
        heads.sort_unstable();
        heads.dedup();
        for pid in &heads {
            if let Some(peer) = Peer::of(*pid)
                && !self.found.contains(&peer)
            {
                self.found.push(peer);
            }
        }
        let mut family: Vec<u32> = below(&heads, &parents, &foreign);
        family.retain(|pid| !self.introduced.contains(pid));
        self.refused += family.len().saturating_sub(FAMILY) as u64;
        family.truncate(FAMILY);
        match self.mode {
            Mode::Count => {
                self.learn(&family);
                Ok(Vec::new())
            }
            Mode::Profile => {
                self.follow(object, &family, sender)?;
                Ok(family)
            }
        }
    }

    /// Their connections are looked at; nothing of theirs is recorded.
    fn learn(&mut self, family: &[u32]) {
        let mut reader = Reader::default();
        for pid in family {
            self.introduced.insert(*pid);
            self.outsiders.set(*pid, wire::Verdict::Followed);
            self.expect(*pid, &reader.read(*pid));
        }
    }

    fn follow(&mut self, object: &mut Object, family: &[u32], sender: &Sender<Item>) -> Result<(), CollectError> {
        let at = monotonic_ns();
        for pid in family {
            self.refused += u64::from(!self.outsiders.set(*pid, wire::Verdict::Followed));
        }
        // Threads of those that were met one thread at a time are among what it finds.
        object.adopt()?;
        let mut reader = Reader::default();
        for pid in family {
            self.introduce(*pid, at, &mut reader, sender)?;
        }
        Ok(())
    }

    fn introduce(&mut self, pid: u32, at: u64, reader: &mut Reader, sender: &Sender<Item>) -> Result<(), CollectError> {
        self.introduced.insert(pid);
        self.mapped.push(pid);
        let connections = reader.read(pid);
        self.expect(pid, &connections);
        let (comm, parent) = process::stat(pid).map_or((String::new(), 0), |stat| (stat.comm, stat.parent));
        let outside = !self.watched.contains(&pid);
        let adopted = Adopted { pid, parent, outside, comm, seen: process::read(pid) };
        let item =
            Item::Adopted { at, adopted, root: Root::of(pid), ports: connections.ports, mappings: read_mappings(pid) };
        sender.send(item).map_err(|_| CollectError::Recorder("its thread is gone".into()))
    }

    /// Older connections of a peer lead to its own peers.
    fn expect(&mut self, pid: u32, connections: &Connections) {
        if connections.far_ends.is_empty() {
            return;
        }
        let network = surroundings::read(pid).namespaces.network;
        if self.translations.len() < NETWORKS || self.translations.contains_key(&network) {
            self.translations.entry(network).or_insert_with(|| conntrack::translations(pid, network));
        }
        for end in &connections.far_ends {
            self.far_ends.insert(end);
            // Behind the address that it asked is another one.
            let client = Ends {
                local: Address { ip: end.remote_ip, port: end.remote_port },
                remote: Address { ip: end.local_ip, port: end.local_port },
            };
            let rewritten = self.translations.get(&network).into_iter().flatten().find(|one| one.client == client);
            if let Some(Translation { network: _, client: _, server }) = rewritten {
                self.far_ends.insert(&wire::FarEnd {
                    local_ip: server.local.ip,
                    remote_ip: server.remote.ip,
                    local_port: server.local.port,
                    remote_port: server.remote.port,
                    ..*end
                });
            }
        }
    }

    pub fn take_translations(&mut self) -> Vec<Translation> {
        std::mem::take(&mut self.translations).into_values().flatten().collect()
    }
}

/// A process and all above it.
fn ancestors(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([0, 1, pid]);
    let mut at = pid;
    for _ in 0..ANCESTORS {
        match process::stat(at) {
            Some(stat) if stat.parent > 1 => at = stat.parent,
            Some(_) | None => break,
        }
        found.insert(at);
    }
    found
}

fn parents() -> BTreeMap<u32, u32> {
    process::all().into_iter().filter_map(|pid| Some((pid, process::stat(pid)?.parent))).collect()
}

/// A process and those above it that run the same program, up to the one that started the service.
fn line(pid: u32, parents: &BTreeMap<u32, u32>, foreign: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let above = std::iter::successors(Some(pid), |at| {
        parents.get(at).copied().filter(|parent| foreign(*parent) && same_program(*at, *parent))
    });
    above.take(ANCESTORS).collect()
}

fn same_program(one: u32, other: u32) -> bool {
    let (one, other) = (process::read(one), process::read(other));
    let base = one.executable.rsplit('/').next().unwrap_or_default();
    let script = INTERPRETERS.iter().any(|name| base.starts_with(name));
    !one.executable.is_empty() && one.executable == other.executable && (!script || one.arguments == other.arguments)
}

/// The heads and all below them, parents before their children.
fn below(heads: &[u32], parents: &BTreeMap<u32, u32>, foreign: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found: Vec<u32> = heads.iter().copied().filter(|pid| foreign(*pid)).collect();
    let mut seen: BTreeSet<u32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for child in children.get(&pid).into_iter().flatten() {
            if foreign(*child) && seen.insert(*child) {
                found.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_head_with_all_below_it() {
        let parents = BTreeMap::from([(10, 1), (11, 10), (12, 10), (13, 11), (20, 1), (21, 12)]);
        let foreign = |pid: u32| pid > 1 && pid != 12;
        assert_eq!(below(&[10], &parents, &foreign), [10, 11, 13]);
        assert_eq!(below(&[20, 11], &parents, &foreign), [20, 11, 13]);
        // A cycle, as torn reads of /proc may give, ends.
        let torn = BTreeMap::from([(5, 6), (6, 5)]);
        assert_eq!(below(&[5], &torn, &foreign), [5, 6]);
    }

    #[test]
    fn the_session_that_runs_perfmap_is_never_a_peer() {
        let above = ancestors(std::process::id());
        assert!(above.contains(&1) && above.contains(&std::process::id()));
        assert!(above.contains(&std::os::unix::process::parent_id()));
    }
}
