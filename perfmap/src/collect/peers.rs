//! Which services that run already are followed: what the user chose, and what an earlier run found. Knows processes
//! by /proc alone.

use perfmap_common as wire;

use super::{
    Mode,
    called::{Glance, Named},
    process,
};

/// `--follow-peers`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FollowPeers {
    #[default]
    No,
    /// All on this host.
    Host,
    /// Those with one of these names.
    Named(Named),
}

/// A process that ran before the command; its number may be another's later, its birth is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub pid: u32,
    started: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peers {
    pub follow: FollowPeers,
    /// Found in an earlier run, or named by the user: followed from the beginning.
    pub known: Vec<Peer>,
    /// What is watched itself, with its children: no peers. Only where no command is run.
    pub watched: Vec<u32>,
}

impl Peer {
    pub fn of(pid: u32) -> Option<Peer> {
        process::stat(pid).map(|stat| Peer { pid, started: stat.started })
    }

    pub fn is_there(&self) -> bool {
        Peer::of(self.pid).as_ref() == Some(self)
    }
}

impl Peers {
    /// What the kernel side may decide by itself.
    pub(super) fn kernel(&self, mode: Mode) -> wire::Follow {
        match (&self.follow, mode) {
            // Children of what is watched are followed all the same.
            (FollowPeers::No, _) if !self.watched.is_empty() => wire::Follow::Announce,
            (FollowPeers::No, _) => wire::Follow::None,
            (FollowPeers::Host, Mode::Count) => wire::Follow::Learn,
            (FollowPeers::Host, Mode::Profile) => wire::Follow::Adopt,
            (FollowPeers::Named(_), _) => wire::Follow::Announce,
        }
    }

    /// Whether a process is followed, given the line of those above it that run the same program, itself first: who
    /// answers may be a worker without a name or port of its own. `glance`: kept for those that are asked about together.
    pub(super) fn want(&self, line: &[u32], glance: &mut Option<Glance>) -> bool {
        match &self.follow {
            FollowPeers::No => false,
            FollowPeers::Host => true,
            FollowPeers::Named(named) => line.iter().any(|pid| {
                self.known.iter().any(|peer| peer.pid == *pid)
                    || named.is(*pid, glance.get_or_insert_with(Glance::default))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_the_next_with_its_number() {
        let me = Peer::of(std::process::id()).expect("own stat");
        assert!(me.is_there());
        assert!(!Peer { started: me.started + 1, ..me }.is_there());
        assert_eq!(Peer::of(u32::MAX), None);
    }

    #[test]
    fn a_worker_is_called_like_the_program_above_it() {
        let me = std::process::id();
        let program = std::env::current_exe().expect("a path");
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        let named = |name: &str| {
            let named = Named { names: vec![name.into()], services: vec![], program: |_| String::new() };
            Peers { follow: FollowPeers::Named(named), known: vec![], watched: vec![] }
        };
        let wants = |peers: Peers, line: &[u32]| peers.want(line, &mut None);
        assert!(wants(named(&name), &[me]) && wants(named(&name), &[u32::MAX, me]));
        assert!(!wants(named("no-such-service"), &[me]));
        let known = Peers { known: vec![Peer::of(me).expect("own stat")], ..named("no-such-service") };
        assert!(wants(known, &[u32::MAX, me]));
        assert!(!wants(Peers::default(), &[me]));
    }

    #[test]
    fn only_the_profiled_run_follows() {
        let host = Peers { follow: FollowPeers::Host, known: vec![], watched: vec![] };
        assert_eq!(host.kernel(Mode::Count), wire::Follow::Learn);
        assert_eq!(host.kernel(Mode::Profile), wire::Follow::Adopt);
        assert_eq!(Peers::default().kernel(Mode::Profile), wire::Follow::None);
        let watched = Peers { watched: vec![1], ..Peers::default() };
        assert_eq!(watched.kernel(Mode::Profile), wire::Follow::Announce);
    }
}
