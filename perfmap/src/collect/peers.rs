//! Which services that run already are followed: what the user chose, and what an earlier run found. Knows processes
//! by /proc alone.

use perfmap_common as wire;

use super::{Mode, process};

/// `--follow-peers`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FollowPeers {
    #[default]
    No,
    /// All on this host.
    Host,
    /// Those with one of these names (see [`is_called`]).
    Named(Vec<String>),
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
    /// Found in an earlier run: followed from the beginning.
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

    pub(super) fn wants(&self, pid: u32) -> bool {
        match &self.follow {
            FollowPeers::No => false,
            FollowPeers::Host => true,
            FollowPeers::Named(names) => names.iter().any(|name| is_called(pid, name)),
        }
    }
}

/// By its thread's name, its program, its script or module, or what its environment calls the service.
fn is_called(pid: u32, name: &str) -> bool {
    let seen = process::read(pid);
    let stem = |path: &str| {
        let base = path.rsplit('/').next().unwrap_or(path);
        base == name || base.rsplit_once('.').is_some_and(|(stem, _)| stem == name)
    };
    seen.service_name.as_deref() == Some(name)
        || process::stat(pid).is_some_and(|stat| stat.comm == name)
        || stem(&seen.executable)
        || seen.arguments.iter().take(3).any(|argument| stem(argument))
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
    fn names_are_those_that_a_person_would_give() {
        let me = std::process::id();
        let program = std::env::current_exe().expect("a path");
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        let named =
            |name: &str| Peers { follow: FollowPeers::Named(vec![name.into()]), known: vec![], watched: vec![] };
        assert!(named(&name).wants(me), "{name}");
        assert!(!named("no-such-service").wants(me));
        assert!(!Peers::default().wants(me));
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
