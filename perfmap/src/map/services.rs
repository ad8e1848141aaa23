//! Processes → services: whose name a step carries.
//!
//! A process is a service where the user or it itself says so, where it is the first of a container or unit, or where
//! another traced process reaches it over a socket; and there is the command's own. All others (tools, shells, workers)
//! belong to the service of their nearest ancestor. Which name it gets is `naming`'s.

mod chosen;
mod instances;
mod naming;
mod program;

pub use program::program;

use crate::{
    correlate::{Flows, PeerFlow},
    recording::{Nanos, Process, ProcessId, Recording},
};
use instances::Instances;
use naming::Naming;

#[derive(Debug)]
pub(super) struct Services {
    /// The root's first, the others by name.
    pub names: Vec<String>,
    /// By `ProcessId`: index into `names`.
    of_process: Vec<u32>,
    /// By `ProcessId`: a service itself, not a part of its ancestor's.
    serves: Vec<bool>,
    /// Names that the user gave to ports of this host.
    ports: Vec<(u16, String)>,
}

impl Services {
    /// `has_project`: by `ProcessId`, whether a function of the project was seen in it.
    pub(super) fn new(recording: &Recording, flows: &Flows, has_project: &[bool]) -> Self {
        let processes = &recording.processes;
        let root = recording.meta.root.and_then(|root| recording.tasks.get(root.0 as usize)).map(|task| task.process);
        let naming = Naming::new(recording, flows);
        let mut serves: Vec<bool> =
            (0..processes.len()).map(|index| naming.is_named(ProcessId(index as u32))).collect();
        let mut serve = |id: ProcessId| {
            if let Some(flag) = serves.get_mut(id.0 as usize) {
                *flag = true;
            }
        };
        for peer in flows.peers.iter().filter_map(|peer| peer.process) {
            serve(peer);
        }
        let main = main_process(recording, root, has_project);
        let mut names = vec![main.map_or_else(|| "main".into(), |main| naming.name(main))];
        // By `ProcessId`: the process that it is a part of; None: the command's.
        let heads: Vec<Option<ProcessId>> = (0..processes.len())
            .map(|index| {
                // Only ids below: the parent of a process is older; a cycle or a wrong order ends the search.
                let mut at = index;
                loop {
                    let id = ProcessId(at as u32);
                    let process = processes.get(at)?;
                    if serves[at] && Some(id) != root {
                        return Some(id);
                    }
                    match process.parent {
                        Some(parent) if (parent.0 as usize) < at => at = parent.0 as usize,
                        Some(_) | None => return None,
                    }
                }
            })
            .collect();
        let instances = Instances::new(recording, flows, &naming, main, &heads);
        let chosen: Vec<String> =
            heads.iter().map(|head| head.map_or_else(|| names[0].clone(), |head| instances.name(head))).collect();
        let mut others: Vec<&String> = chosen.iter().filter(|name| **name != names[0]).collect();
        others.sort_unstable();
        others.dedup();
        names.extend(others.into_iter().cloned().collect::<Vec<_>>());
        let of_process =
            chosen.iter().map(|chosen| names.iter().position(|name| name == chosen).unwrap_or(0) as u32).collect();
        Self { names, of_process, serves, ports: naming.ports() }
    }

    /// Before a process executes something of its own, it is still a part of its maker.
    pub(super) fn at(&self, recording: &Recording, process: ProcessId, at: Nanos) -> u32 {
        let id = match recording.processes.get(process.0 as usize) {
            Some(of) if before_exec(of, at) => of.parent.unwrap_or(process),
            Some(_) | None => process,
        };
        self.of_process.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// Into `names`.
    pub(super) fn index(&self, process: ProcessId) -> u32 {
        self.of_process.get(process.0 as usize).copied().unwrap_or(0)
    }

    pub(super) fn of(&self, process: ProcessId) -> &str {
        &self.names[self.index(process) as usize]
    }

    /// Whom an endpoint is, where its process is followed or the user named its port.
    pub(super) fn of_peer(&self, peer: &PeerFlow) -> Option<&str> {
        if let Some(process) = peer.process {
            return Some(self.of(process));
        }
        let port = peer.address.rsplit_once(':')?.1.parse::<u16>().ok().filter(|_| peer.local)?;
        self.ports.iter().find(|(of, _)| *of == port).map(|(_, name)| name.as_str())
    }

    pub(super) fn is_service(&self, process: ProcessId) -> bool {
        self.serves.get(process.0 as usize).copied().unwrap_or(false)
    }
}

/// True where the process runs another program than the one it was forked from.
pub(super) fn executed(recording: &Recording, process: &Process) -> bool {
    let parent = process.parent.and_then(|parent| recording.processes.get(parent.0 as usize));
    match (process.images.as_slice(), parent) {
        ([], _) => false,
        ([only], Some(parent)) => !parent.images.iter().any(|image| image.arguments == only.arguments),
        ([_], None) | ([_, _, ..], _) => true,
    }
}

/// True where the process will execute something, but has not yet.
pub(super) fn before_exec(process: &Process, at: Nanos) -> bool {
    process.parent.is_some() && process.images.get(1).is_some_and(|image| at < image.at)
}

/// The process that stands for the command: the first one, from the root down, that runs the project's code, because
/// `uv run pytest` is `pytest`.
fn main_process(recording: &Recording, root: Option<ProcessId>, has_project: &[bool]) -> Option<ProcessId> {
    let own = |index: usize| !recording.is_outside(ProcessId(index as u32));
    let of_command = has_project.iter().take(recording.processes.len()).enumerate();
    let of_project = of_command.filter(|(_, has)| **has).find(|(index, _)| own(*index)).map(|(index, _)| index);
    of_project
        .map(|index| ProcessId(index as u32))
        .or(root.filter(|root| (root.0 as usize) < recording.processes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate,
        recording::{Meta, NamedService, ServiceSelector},
    };

    #[test]
    fn a_port_that_the_user_named_names_a_peer_out_of_reach() {
        let named = NamedService { name: "db".into(), is: ServiceSelector::Port(5432) };
        let recording = Recording { meta: Meta { services: vec![named], ..Meta::default() }, ..Recording::default() };
        let services = Services::new(&recording, &Flows::default(), &[]);
        let peer = |address: &str, local| PeerFlow {
            endpoint: crate::recording::Endpoint::Unix(None),
            address: address.into(),
            process: None,
            host: None,
            protocol: "tcp".into(),
            round_trips: 0,
            failed: 0,
            connections: 1,
            failed_connects: 0,
            bytes_sent: 0,
            bytes_received: 0,
            latency: None,
            connect: None,
            tls_handshake: None,
            counted: correlate::Counted::Exact,
            local,
        };
        for (address, local, expected) in [
            ("127.0.0.1:5432", true, Some("db")),
            ("[::1]:5432", true, Some("db")),
            ("10.0.0.7:5432", false, None),
            ("127.0.0.1:80", true, None),
            ("unix", true, None),
        ] {
            assert_eq!(services.of_peer(&peer(address, local)), expected, "{address}");
        }
    }
}
