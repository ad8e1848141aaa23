//! What the user called a service → its processes that run now. The same answers as the map gives for what was recorded,
//! but for modules: which file those are, only their interpreter knows.

use std::path::Path;

use super::{
    connections::Reader,
    containers::Runtimes,
    habitats::Habitats,
    peers::Peer,
    process::{self, Seen},
};
use crate::recording::ServiceSelector;

/// Words of a command line that may name its program.
const WORDS: usize = 8;

/// Sorted by pid. Processes that a selector means but that are not there yet are no mistake: the command may start them.
pub fn running(selectors: &[ServiceSelector]) -> Vec<Peer> {
    if selectors.is_empty() {
        return Vec::new();
    }
    let (mut reader, mut habitats) = (Reader::default(), Habitats::new(Runtimes::default()));
    let own = std::process::id();
    let all = process::all().into_iter().filter(|pid| *pid != own);
    all.filter(|pid| {
        let seen = process::read(*pid);
        // The kernel's own threads have no program.
        !seen.executable.is_empty()
            && selectors.iter().any(|selector| is_meant(selector, *pid, &seen, &mut reader, &mut habitats))
    })
    .filter_map(Peer::of)
    .collect()
}

pub(super) fn is_meant(
    selector: &ServiceSelector,
    pid: u32,
    seen: &Seen,
    reader: &mut Reader,
    habitats: &mut Habitats,
) -> bool {
    match selector {
        ServiceSelector::Pid(wanted) => pid == *wanted,
        ServiceSelector::Port(port) => reader.read(pid).ports.contains(port),
        ServiceSelector::Container(text) => {
            let id = habitats.of(&seen.whereabouts, None);
            let container = id.and_then(|id| habitats.known(id)?.container.as_ref());
            container.is_some_and(|container| container.is_called(text))
        }
        ServiceSelector::Unit(text) => seen.whereabouts.is_unit(text),
        ServiceSelector::Path(path) => is_at(seen, Path::new(path)),
    }
}

/// Its program or a script that its command line names lies there, or below.
fn is_at(seen: &Seen, path: &Path) -> bool {
    let Seen { executable, arguments, working_directory, service_name: _, whereabouts: _ } = seen;
    let directory = Path::new(working_directory);
    Path::new(executable).starts_with(path)
        || arguments
            .iter()
            .take(WORDS)
            .filter(|word| !word.starts_with('-') && (word.contains('/') || word.contains('.')))
            .any(|word| directory.join(word.strip_prefix("./").unwrap_or(word)).starts_with(path))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process::Command};

    use super::*;

    fn pids(selector: ServiceSelector) -> Vec<u32> {
        running(&[selector]).iter().map(|peer| peer.pid).collect()
    }

    #[test]
    fn finds_what_runs_and_never_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("serve.sh");
        std::fs::write(&script, "read line\n").expect("a file");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        // The child inherits the listener, as workers do.
        let inherited = copy(&listener);
        let mut child = Command::new("/bin/sh")
            .arg(&script)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::from(inherited))
            .spawn()
            .expect("sh runs");
        let pid = child.id();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        assert_eq!(pids(ServiceSelector::Pid(pid)), [pid]);
        assert_eq!(pids(ServiceSelector::Port(port)), [pid]);
        assert_eq!(pids(ServiceSelector::Path(text(&script))), [pid]);
        assert_eq!(pids(ServiceSelector::Path(text(directory.path()))), [pid]);
        assert!(pids(ServiceSelector::Pid(std::process::id())).is_empty());
        assert!(pids(ServiceSelector::Unit("no-such-unit-here".into())).is_empty());
        assert!(pids(ServiceSelector::Container("no-such-container".into())).is_empty());
        assert!(running(&[]).is_empty());
        drop(child.stdin.take());
        let _ = child.wait();
        assert!(pids(ServiceSelector::Pid(pid)).is_empty());
    }

    fn copy(listener: &TcpListener) -> std::os::fd::OwnedFd {
        std::os::fd::OwnedFd::from(listener.try_clone().expect("a copy"))
    }
}
