//! Services that only their program names → names that tell those of one program apart: `chain:8001`, `chain:8002`.
//!
//! One service is a process with all that it forked, and others of the same name where they listen on the same port
//! (workers that share it). Ports tell two services apart, because they are the same in the next run; where one listens
//! on none, its place in the order of births does. The command itself keeps its plain name.

use std::collections::{BTreeMap, BTreeSet};

use super::{chosen::listeners, executed, naming::Naming, program::is_script};
use crate::{
    correlate::Flows,
    recording::{ProcessId, Recording},
};

/// By head of a service: its name.
#[derive(Debug, Default)]
pub(super) struct Instances(BTreeMap<ProcessId, String>);

/// One service: its oldest process, and where it listens.
struct Instance {
    top: ProcessId,
    ports: BTreeSet<u16>,
    heads: Vec<ProcessId>,
}

impl Instances {
    /// `heads`: by `ProcessId`, the process whose service it belongs to; `main`: the one that stands for the command.
    pub(super) fn new(
        recording: &Recording,
        flows: &Flows,
        naming: &Naming<'_>,
        main: Option<ProcessId>,
        heads: &[Option<ProcessId>],
    ) -> Self {
        let heads: BTreeSet<ProcessId> = heads.iter().copied().flatten().collect();
        let mut names: BTreeMap<ProcessId, String> = BTreeMap::new();
        let mut unsaid: BTreeMap<String, Vec<ProcessId>> = BTreeMap::new();
        for head in heads {
            names.insert(head, naming.name(head));
            if naming.said(head).is_none() {
                unsaid.entry(naming.name(head)).or_default().push(head);
            }
        }
        let of_command = main.map(|main| (naming.name(main), top(recording, main)));
        let mut ports: Option<BTreeMap<ProcessId, BTreeSet<u16>>> = None;
        for (name, heads) in unsaid {
            // The command's own: it is called by the plain name, and so is what it forked.
            let taken = of_command.as_ref().filter(|(of, _)| *of == name).map(|(_, top)| *top);
            let others: Vec<ProcessId> =
                heads.into_iter().filter(|head| Some(top(recording, *head)) != taken).collect();
            if others.len() < 2 && taken.is_none() {
                continue;
            }
            let ports = ports.get_or_insert_with(|| ports_by_top(recording, flows));
            let instances = instances(recording, ports, &others);
            if instances.len() < 2 && taken.is_none() {
                continue;
            }
            let mut used: BTreeSet<String> = taken.map(|_| name.clone()).into_iter().collect();
            for (index, instance) in instances.iter().enumerate() {
                let by_port = instance.ports.first().map(|port| format!("{name}:{port}"));
                let by_order = |from: usize| (from..).map(|number| format!("{name}#{number}"));
                let plain = (index == 0).then(|| name.clone());
                let own = by_port.or(plain).filter(|own| !used.contains(own));
                // As many as there are services: one of so many numbers is free.
                let Some(own) = own.or_else(|| by_order(index + 1).find(|own| !used.contains(own))) else { continue };
                for head in &instance.heads {
                    names.insert(*head, own.clone());
                }
                used.insert(own);
            }
        }
        Self(names)
    }

    pub(super) fn name(&self, head: ProcessId) -> String {
        self.0.get(&head).cloned().unwrap_or_default()
    }
}

/// In the order of their oldest processes. Those that listen on one port are one.
fn instances(recording: &Recording, ports: &BTreeMap<ProcessId, BTreeSet<u16>>, heads: &[ProcessId]) -> Vec<Instance> {
    let mut found: Vec<Instance> = Vec::new();
    for head in heads {
        let top = top(recording, *head);
        let ports = ports.get(&top).cloned().unwrap_or_default();
        let (same, other): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|instance| instance.top == top || !instance.ports.is_disjoint(&ports));
        let mut joined = Instance { top, ports, heads: vec![*head] };
        for instance in same {
            joined.top = joined.top.min(instance.top);
            joined.ports.extend(instance.ports);
            joined.heads.extend(instance.heads);
        }
        found = other;
        found.push(joined);
    }
    found.sort_by_key(|instance| instance.top);
    found
}

/// Where each process, with all that it forked, takes connections.
fn ports_by_top(recording: &Recording, flows: &Flows) -> BTreeMap<ProcessId, BTreeSet<u16>> {
    let mut found: BTreeMap<ProcessId, BTreeSet<u16>> = BTreeMap::new();
    for (port, processes) in listeners(recording, flows) {
        for process in processes {
            found.entry(top(recording, process)).or_default().insert(port);
        }
    }
    found
}

/// The process that it was forked from, through any number of forks. Servers write what they do over their command
/// line (`nginx: worker process`), so that for all but scripts the same binary is the same program.
fn top(recording: &Recording, id: ProcessId) -> ProcessId {
    let of = |id: ProcessId| recording.processes.get(id.0 as usize);
    let line = std::iter::successors(Some(id), |id| {
        let process = of(*id)?;
        let parent = process.parent.filter(|parent| parent < id)?;
        let (image, maker) = (process.images.last(), of(parent)?.images.last());
        let same_binary = image.zip(maker).is_some_and(|(image, maker)| {
            !image.executable.is_empty() && image.executable == maker.executable && !is_script(image)
        });
        (same_binary || !executed(recording, process)).then_some(parent)
    });
    line.last().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::super::Services;
    use super::*;
    use crate::{
        correlate::{self, PeerFlow},
        recording::{Address, Family, Image, Meta, Nanos, Process, Role, Socket, Task, TaskId},
    };

    fn process(parent: Option<u32>, line: &str) -> Process {
        let binary = line.split([' ', ':']).next().unwrap_or_default();
        Process {
            pid: 0,
            parent: parent.map(ProcessId),
            born: Nanos::ZERO,
            died: None,
            ending: None,
            images: vec![Image {
                at: Nanos::ZERO,
                comm: "c".into(),
                executable: format!("/usr/bin/{binary}"),
                // A hard space stands for one within an argument.
                arguments: line.split(' ').map(|argument| argument.replace('\u{a0}', " ")).collect(),
                working_directory: "/srv".into(),
                service_name: None,
                surroundings: None,
            }],
            own_name: None,
            cpu: Nanos::ZERO,
        }
    }

    fn server(process: u32, port: u16) -> Socket {
        Socket {
            family: Family::Ipv4,
            kind: 1,
            local: Some(Address { ip: [1; 16], port }),
            role: Role::Server,
            ..Socket::unknown(ProcessId(process))
        }
    }

    fn peer(process: u32) -> PeerFlow {
        PeerFlow {
            endpoint: crate::recording::Endpoint::Internet {
                datagrams: false,
                remote: Address { ip: [1; 16], port: 1 },
                network: 0,
            },
            address: "127.0.0.1:1".into(),
            process: Some(ProcessId(process)),
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
            local: true,
        }
    }

    /// The first process is the command; the peers' names, in order.
    fn names(processes: Vec<Process>, listen: &[(u32, u16)], peers: &[u32]) -> Vec<String> {
        let recording = Recording {
            meta: Meta { root: Some(TaskId(0)), ..Meta::default() },
            processes,
            tasks: vec![Task {
                tid: 0,
                process: ProcessId(0),
                maker: None,
                born: Nanos::ZERO,
                died: None,
                comm: "c".into(),
            }],
            sockets: listen.iter().map(|(process, port)| server(*process, *port)).collect(),
            ..Recording::default()
        };
        let flows = Flows { peers: peers.iter().map(|process| peer(*process)).collect(), ..Flows::default() };
        let services = Services::new(&recording, &flows, &[]);
        peers.iter().map(|process| services.of(ProcessId(*process)).to_owned()).collect()
    }

    #[test]
    fn services_of_one_script_go_by_their_ports() {
        let of = |extra: &str| process(Some(0), &format!("python3 chain.py {extra}"));
        let found = names(vec![process(None, "sh run"), of("a"), of("b")], &[(2, 8001), (1, 8002)], &[1, 2]);
        assert_eq!(found, ["chain:8002", "chain:8001"]);
        // The command is of the same script, and keeps its name.
        let found = names(vec![process(None, "python3 chain.py"), of("a"), of("b")], &[(1, 8002), (2, 8001)], &[1, 2]);
        assert_eq!(found, ["chain:8002", "chain:8001"]);
        let found = names(vec![process(None, "python3 chain.py"), of("a")], &[(1, 8002)], &[1]);
        assert_eq!(found, ["chain:8002"]);
    }

    #[test]
    fn one_service_of_its_name_is_called_by_it() {
        let worker = process(Some(1), "python3 api.py");
        let line = vec![process(None, "sh run"), process(Some(0), "python3 api.py"), worker.clone(), worker];
        assert_eq!(names(line, &[(2, 80), (3, 81)], &[2, 3]), ["api", "api"], "forked workers");
        let of = || process(Some(0), "python3 api.py");
        let found = names(vec![process(None, "sh run"), of(), of()], &[(1, 80), (2, 80)], &[1, 2]);
        assert_eq!(found, ["api", "api"], "two that share a port");
    }

    #[test]
    fn servers_that_write_over_their_command_line_stay_one() {
        let line = vec![
            process(None, "sh run"),
            process(Some(0), "postgres -D d"),
            process(Some(1), "postgres:\u{a0}user\u{a0}db\u{a0}idle"),
            process(Some(1), "postgres:\u{a0}user\u{a0}db\u{a0}SELECT"),
        ];
        assert_eq!(names(line, &[(1, 5432)], &[2, 3]), ["postgres", "postgres"]);
        let of = |line: &str| process(Some(0), line);
        let two = vec![process(None, "sh run"), of("redis-server --port 1"), of("redis-server --port 2")];
        assert_eq!(names(two, &[(1, 1), (2, 2)], &[1, 2]), ["redis-server:1", "redis-server:2"]);
    }

    #[test]
    fn without_ports_the_order_tells() {
        let of = |extra: &str| process(Some(0), &format!("python3 w.py {extra}"));
        let line = || vec![process(None, "sh run"), of("a"), of("b"), of("c")];
        assert_eq!(names(line(), &[], &[1, 2, 3]), ["w", "w#2", "w#3"]);
        assert_eq!(names(line(), &[(1, 9)], &[3, 2, 1]), ["w#3", "w#2", "w:9"]);
        // As told, nothing is added.
        let mut line = line();
        for process in &mut line {
            process.images[0].service_name = Some("told".into());
        }
        assert_eq!(names(line, &[(1, 9)], &[1, 2, 3]), ["told", "told", "told"]);
    }
}
