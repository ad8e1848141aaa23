//! A process → its service's name, the first that is there: the user's, OTEL_SERVICE_NAME, a compose or Kubernetes
//! label, systemd unit, container, a name that it set itself, main script, module or binary.

use super::{chosen::chosen, executed, program::program};
use crate::{
    correlate::Flows,
    recording::{Process, ProcessId, Recording, ServiceSelector, Surroundings},
};

/// Length of an id that stands for a container without a name, as docker shows it.
const SHORT_ID: usize = 12;

pub(super) struct Naming<'a> {
    recording: &'a Recording,
    chosen: Vec<Option<usize>>,
}

impl<'a> Naming<'a> {
    pub fn new(recording: &'a Recording, flows: &Flows) -> Self {
        Self { recording, chosen: chosen(recording, flows) }
    }

    pub fn ports(&self) -> Vec<(u16, String)> {
        let services = self.recording.meta.services.iter();
        services
            .filter_map(|service| match &service.is {
                ServiceSelector::Port(port) => Some((*port, service.name.clone())),
                ServiceSelector::Pid(_)
                | ServiceSelector::Container(_)
                | ServiceSelector::Unit(_)
                | ServiceSelector::Path(_) => None,
            })
            .collect()
    }

    /// It has a name of its own, which its maker has not.
    pub fn is_named(&self, id: ProcessId) -> bool {
        let Some(process) = self.process(id) else { return false };
        let maker = process.parent.and_then(|parent| self.process(parent));
        let differs = |of: fn(&Self, &'a Process) -> Option<&'a str>| {
            let own = of(self, process);
            own.is_some() && own != maker.and_then(|maker| of(self, maker))
        };
        self.of_user(id).is_some()
            || differs(|_, process| otel(process))
            || differs(Self::of_surroundings)
            || of_itself(process).is_some()
    }

    pub fn name(&self, id: ProcessId) -> String {
        if let Some(said) = self.said(id) {
            return said.into();
        }
        let Some(process) = self.process(id) else { return format!("process {}", id.0) };
        let program = process.images.last().map(program).filter(|name| !name.is_empty());
        program.unwrap_or_else(|| format!("pid {}", process.pid))
    }

    /// What somebody called it; None: only the program tells.
    pub fn said(&self, id: ProcessId) -> Option<&str> {
        let process = self.process(id)?;
        // A worker made by fork alone is a part of its maker's program.
        let line = std::iter::successors(Some(id), |id| {
            let process = self.process(*id)?;
            process.parent.filter(|parent| parent < id && !executed(self.recording, process))
        });
        let first = |of: &dyn Fn(ProcessId) -> Option<&'a str>| line.clone().find_map(of);
        first(&|id| self.of_user(id))
            .or_else(|| otel(process))
            .or_else(|| self.of_surroundings(process))
            .or_else(|| first(&|id| of_itself(self.process(id)?)))
    }

    fn process(&self, id: ProcessId) -> Option<&'a Process> {
        self.recording.processes.get(id.0 as usize)
    }

    fn of_user(&self, id: ProcessId) -> Option<&'a str> {
        let chosen = self.chosen.get(id.0 as usize).copied().flatten()?;
        self.recording.meta.services.get(chosen).map(|service| service.name.as_str())
    }

    /// What label, unit or container say, where they are not those that perfmap itself runs in.
    fn of_surroundings(&self, process: &'a Process) -> Option<&'a str> {
        let id = process.images.last()?.surroundings?;
        let of = |id: crate::recording::SurroundingsId| self.recording.surroundings.get(id.0 as usize);
        let Surroundings { namespaces: _, unit, container } = of(id)?;
        let own = self.recording.meta.own_surroundings.and_then(of);
        let container =
            container.as_ref().filter(|container| own.and_then(|own| own.container.as_ref()) != Some(container));
        let unit = unit.as_deref().filter(|unit| own.and_then(|own| own.unit.as_deref()) != Some(unit));
        let label = container.and_then(|container| container.label.as_deref());
        label.or(unit.map(|unit| unit.strip_suffix(".service").unwrap_or(unit))).or_else(|| {
            let container = container?;
            let short =
                if container.id.len() == 64 { container.id.get(..SHORT_ID) } else { Some(container.id.as_str()) };
            container.name.as_deref().or(short)
        })
    }
}

fn otel(process: &Process) -> Option<&str> {
    process.images.last()?.service_name.as_deref().filter(|name| !name.is_empty())
}

/// The name that it set itself; of a title (`gunicorn: worker [shop]`) what comes before the colon.
fn of_itself(process: &Process) -> Option<&str> {
    let set = process.own_name.as_deref()?;
    let name = set.split_once(": ").map_or(set, |(name, _)| name).trim();
    let image = process.images.last();
    // Runtimes name their main thread by themselves.
    let of_runtime = matches!(name, "" | "MainThread" | "node-MainThread" | "main");
    (!of_runtime && image.is_none_or(|image| image.comm != name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{
        Address, Container, Family, Image, Meta, NamedService, Namespaces, Nanos, Role, Socket, SurroundingsId,
    };

    fn process(parent: Option<u32>, line: &str) -> Process {
        Process {
            pid: 100 + parent.map_or(0, |parent| parent + 1),
            parent: parent.map(ProcessId),
            born: Nanos::ZERO,
            died: None,
            ending: None,
            images: vec![Image {
                at: Nanos::ZERO,
                comm: "comm".into(),
                executable: "/usr/bin/python3.11".into(),
                arguments: line.split(' ').map(Into::into).collect(),
                working_directory: "/srv".into(),
                service_name: None,
                surroundings: Some(SurroundingsId(0)),
            }],
            own_name: None,
            cpu: Nanos::ZERO,
        }
    }

    /// perfmap's own, then a container with all names in the unit `shop.service`.
    fn surroundings() -> Vec<Surroundings> {
        let container =
            Container { id: "0123456789abcdef".repeat(4), name: Some("c1".into()), label: Some("web".into()) };
        vec![
            Surroundings { unit: Some("session.service".into()), ..Surroundings::default() },
            Surroundings {
                namespaces: Namespaces { pid: 1, mount: 2, network: 3 },
                unit: Some("shop.service".into()),
                container: Some(container),
            },
        ]
    }

    /// A shell, and below it a server in the container.
    fn recording() -> Recording {
        let mut server = process(Some(0), "python3 app/server.py");
        server.images[0].service_name = Some("otel".into());
        server.images[0].surroundings = Some(SurroundingsId(1));
        server.own_name = Some("title: worker".into());
        Recording {
            meta: Meta { own_surroundings: Some(SurroundingsId(0)), ..Meta::default() },
            processes: vec![process(None, "sh run"), server],
            surroundings: surroundings(),
            ..Recording::default()
        }
    }

    fn named(recording: &Recording, index: u32) -> String {
        Naming::new(recording, &Flows::default()).name(ProcessId(index))
    }

    #[test]
    fn names_come_in_the_order_of_the_specification() {
        let mut recording = recording();
        let choose = |name: &str, is| NamedService { name: name.into(), is };
        recording.meta.services =
            vec![choose("chosen", ServiceSelector::Pid(101)), choose("late", ServiceSelector::Pid(101))];
        type Step = fn(&mut Recording);
        let steps: [(&str, Step); 8] = [
            ("chosen", |recording| recording.meta.services.clear()),
            ("otel", |recording| recording.processes[1].images[0].service_name = None),
            ("web", |recording| recording.surroundings[1].container.as_mut().unwrap().label = None),
            ("shop", |recording| recording.surroundings[1].unit = Some("session.service".into())),
            ("c1", |recording| recording.surroundings[1].container.as_mut().unwrap().name = None),
            ("0123456789ab", |recording| recording.surroundings[1].container = None),
            ("title", |recording| recording.processes[1].own_name = None),
            ("server", |recording| recording.processes[1].images[0].arguments.clear()),
        ];
        for (name, remove) in steps {
            assert_eq!(named(&recording, 1), name);
            remove(&mut recording);
        }
        assert_eq!(named(&recording, 1), "python3.11");
        assert_eq!(named(&recording, 0), "run");
        assert_eq!(named(&recording, 7), "process 7");
    }

    #[test]
    fn what_is_shared_with_the_maker_makes_no_service() {
        let mut recording = recording();
        let is_named =
            |recording: &Recording, index| Naming::new(recording, &Flows::default()).is_named(ProcessId(index));
        assert!(!is_named(&recording, 0), "it is where perfmap is");
        assert!(is_named(&recording, 1));
        let worker = Process { own_name: None, parent: Some(ProcessId(1)), ..recording.processes[1].clone() };
        recording.processes.push(worker);
        assert!(!is_named(&recording, 2));
        assert_eq!(named(&recording, 2), "otel");
        recording.processes[2].own_name = Some("comm".into());
        assert!(!is_named(&recording, 2), "the name that it had already");
    }

    #[test]
    fn a_forked_worker_is_called_like_its_master() {
        let mut recording = recording();
        recording.meta.services =
            vec![NamedService { name: "chosen".into(), is: ServiceSelector::Pid(recording.processes[1].pid) }];
        let worker = Process { pid: 9, parent: Some(ProcessId(1)), own_name: None, ..recording.processes[1].clone() };
        recording.processes.push(worker);
        assert_eq!(named(&recording, 2), "chosen");
        recording.processes[2].images.push(process(None, "curl x").images.remove(0));
        assert_eq!(named(&recording, 2), "curl", "another program, outside the container");
    }

    #[test]
    fn every_selector_finds_its_process_and_no_other() {
        let mut recording = recording();
        let address = |port| Some(Address { ip: [1; 16], port });
        recording.sockets.push(Socket {
            family: Family::Ipv4,
            kind: 1,
            local: address(8001),
            remote: address(40000),
            role: Role::Server,
            ..Socket::unknown(ProcessId(1))
        });
        let text = |text: &str| text.to_owned();
        for (is, expected) in [
            (ServiceSelector::Pid(101), true),
            (ServiceSelector::Pid(1), false),
            (ServiceSelector::Port(8001), true),
            (ServiceSelector::Port(40000), false),
            (ServiceSelector::Container(text("c1")), true),
            (ServiceSelector::Container(text("01234567")), true),
            (ServiceSelector::Container(text("012")), false),
            (ServiceSelector::Container(text("web")), false),
            (ServiceSelector::Unit(text("shop")), true),
            (ServiceSelector::Unit(text("shop.service")), true),
            (ServiceSelector::Unit(text("sho")), false),
            (ServiceSelector::Path(text("/srv/app/server.py")), true),
            (ServiceSelector::Path(text("/srv/app")), true),
            (ServiceSelector::Path(text("/srv/ap")), false),
        ] {
            recording.meta.services = vec![NamedService { name: "chosen".into(), is: is.clone() }];
            assert_eq!(named(&recording, 1) == "chosen", expected, "{is:?}");
            assert_ne!(named(&recording, 0), "chosen", "{is:?}");
        }
    }

    #[test]
    fn hostile_trees_come_to_an_end() {
        let mut recording = recording();
        recording.processes[0].parent = Some(ProcessId(1));
        recording.processes[1].parent = Some(ProcessId(0));
        recording.processes[1].images[0].surroundings = Some(SurroundingsId(9));
        assert_eq!(named(&recording, 0), "run");
        assert_eq!(named(&recording, 1), "otel");
    }
}
