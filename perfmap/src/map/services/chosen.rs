//! The user's own names (`--service`, `perfmap.toml`) → which process has which.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::program::paths;
use crate::{
    correlate::Flows,
    recording::{Process, ProcessId, Recording, Role, ServiceSelector, Surroundings, TcpState, is_unit},
};

/// By `ProcessId`: index into the user's names; the first that fits.
pub(super) fn chosen(recording: &Recording, flows: &Flows) -> Vec<Option<usize>> {
    let services = &recording.meta.services;
    let listeners = if services.is_empty() { BTreeMap::new() } else { listeners(recording, flows) };
    let processes = recording.processes.iter().enumerate();
    let fits = |id: ProcessId, process: &Process| {
        services.iter().position(|service| fits(recording, &listeners, id, process, &service.is))
    };
    processes.map(|(index, process)| fits(ProcessId(index as u32), process)).collect()
}

fn fits(
    recording: &Recording,
    listeners: &BTreeMap<u16, BTreeSet<ProcessId>>,
    id: ProcessId,
    process: &Process,
    selector: &ServiceSelector,
) -> bool {
    let image = process.images.last();
    let surroundings = || -> Option<&Surroundings> { recording.surroundings.get(image?.surroundings?.0 as usize) };
    match selector {
        ServiceSelector::Pid(pid) => process.pid == *pid,
        ServiceSelector::Port(port) => listeners.get(port).is_some_and(|processes| processes.contains(&id)),
        ServiceSelector::Container(text) => surroundings()
            .and_then(|surroundings| surroundings.container.as_ref())
            .is_some_and(|container| container.is_called(text)),
        ServiceSelector::Unit(text) => {
            surroundings().and_then(|surroundings| surroundings.unit.as_deref()).is_some_and(|unit| is_unit(unit, text))
        }
        ServiceSelector::Path(path) => {
            image.is_some_and(|image| paths(image).iter().any(|found| found.starts_with(Path::new(path))))
        }
    }
}

/// By port: who listened on it, and who used a server's end of a connection to it.
pub(super) fn listeners(recording: &Recording, flows: &Flows) -> BTreeMap<u16, BTreeSet<ProcessId>> {
    let mut listeners: BTreeMap<u16, BTreeSet<ProcessId>> = BTreeMap::new();
    for socket in &recording.sockets {
        let listens = socket.states.iter().any(|change| change.to == TcpState::Listen);
        if let Some(local) = socket.local.filter(|_| listens || socket.role == Role::Server) {
            listeners.entry(local.port).or_default().insert(socket.process);
        }
    }
    for trip in &flows.round_trips {
        // Whoever reads the requests may have inherited the connection.
        let server = trip.server_socket.and_then(|server| recording.sockets.get(server.0 as usize));
        if let Some(server) = server
            && let Some(local) = server.local
        {
            listeners.entry(local.port).or_default().insert(server.process);
        }
    }
    listeners
}
