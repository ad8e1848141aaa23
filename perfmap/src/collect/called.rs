//! A running process → all that a person may call its service: what the map would print of it, with and without a port
//! that it listens on, and the looser names of everyday (program, script, thread).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    connections::Reader,
    containers::Runtimes,
    habitats::Habitats,
    process::{self, Seen},
    selected::is_meant,
};
use crate::recording::{Image, NamedService, Nanos};

/// Words of a command line that may be its script or module.
const WORDS: usize = 3;
/// Length of an id that stands for a container without a name, as the map prints it.
const SHORT_ID: usize = 12;
/// Most candidates that are told.
const TOLD: usize = 12;

/// `--follow-peers NAME…`
#[derive(Clone)]
pub struct Named {
    pub names: Vec<String>,
    /// The names that the user gave himself.
    pub services: Vec<NamedService>,
    /// What the map calls a program: the script or module that an interpreter runs, else the binary.
    pub program: fn(&Image) -> String,
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        let Named { names, services, program: _ } = self;
        (names, services) == (&other.names, &other.services)
    }
}

impl Eq for Named {}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("names", &self.names).field("services", &self.services).finish_non_exhaustive()
    }
}

/// Reads each table once, for processes that are looked at together.
#[derive(Debug)]
pub(super) struct Glance {
    reader: Reader,
    habitats: Habitats,
}

impl Default for Glance {
    fn default() -> Glance {
        Glance { reader: Reader::default(), habitats: Habitats::new(Runtimes::default()) }
    }
}

/// What a process is called, the map's first choice first.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    /// By somebody: the map adds no port to these.
    said: Vec<String>,
    /// Its program, as the map prints it.
    program: String,
    loose: Vec<String>,
}

impl Named {
    pub(super) fn is(&self, pid: u32, glance: &mut Glance) -> bool {
        self.names.iter().any(|name| self.is_called(pid, name, glance))
    }

    fn is_called(&self, pid: u32, name: &str, glance: &mut Glance) -> bool {
        let seen = process::read(pid);
        // The kernel's own threads have no program.
        if seen.executable.is_empty() {
            return false;
        }
        let Glance { reader, habitats } = glance;
        let of_user = self.services.iter().filter(|service| service.name == name);
        of_user.into_iter().any(|service| is_meant(&service.is, pid, &seen, reader, habitats)) || {
            let names = names(pid, &seen, habitats, self.program);
            let with_port = name.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
            names.have(name)
                || with_port.is_some_and(|(name, port)| names.have(name) && reader.read(pid).ports.contains(&port))
        }
    }

    /// The names that no process here has; and what the services that listen here are called. Names that the user gave are
    /// never missed: the command may start what they mean.
    pub fn missed(&self) -> Option<(Vec<String>, Vec<String>)> {
        let mut glance = Glance::default();
        let own = std::process::id();
        let all: Vec<u32> = process::all().into_iter().filter(|pid| *pid != own).collect();
        let missed: Vec<String> = self
            .names
            .iter()
            .filter(|name| !self.services.iter().any(|service| service.name == **name))
            .filter(|name| !all.iter().any(|pid| self.is_called(*pid, name, &mut glance)))
            .cloned()
            .collect();
        (!missed.is_empty()).then(|| (missed, self.candidates(&all, &mut glance)))
    }

    fn candidates(&self, all: &[u32], glance: &mut Glance) -> Vec<String> {
        let mut said: BTreeSet<String> = BTreeSet::new();
        // By program: the ports of each service; workers share theirs.
        let mut programs: BTreeMap<String, Vec<BTreeSet<u16>>> = BTreeMap::new();
        for pid in all {
            let ports: BTreeSet<u16> = glance.reader.read(*pid).ports.into_iter().collect();
            let seen = process::read(*pid);
            if ports.is_empty() || seen.executable.is_empty() {
                continue;
            }
            let names = names(*pid, &seen, &mut glance.habitats, self.program);
            if let Some(first) = names.said.into_iter().next() {
                said.insert(first);
                continue;
            }
            let of_program = programs.entry(names.program).or_default();
            match of_program.iter_mut().find(|known| !known.is_disjoint(&ports)) {
                Some(known) => known.extend(ports),
                None => of_program.push(ports),
            }
        }
        for (program, services) in programs {
            match services.as_slice() {
                [_] => said.extend([program]),
                several => {
                    let first = several.iter().filter_map(|ports| ports.first());
                    said.extend(first.map(|port| format!("{program}:{port}")));
                }
            }
        }
        let more = said.len().saturating_sub(TOLD);
        let mut told: Vec<String> = said.into_iter().take(TOLD).collect();
        told.extend((more > 0).then(|| format!("{more} more")));
        told
    }
}

impl Names {
    fn have(&self, name: &str) -> bool {
        let Names { said, program, loose } = self;
        program == name || said.iter().chain(loose).any(|known| known == name)
    }
}

fn names(pid: u32, seen: &Seen, habitats: &mut Habitats, program: fn(&Image) -> String) -> Names {
    let comm = process::stat(pid).map(|stat| stat.comm).unwrap_or_default();
    let Seen { executable, arguments, working_directory, service_name, whereabouts } = seen;
    let mut said: Vec<String> = service_name.iter().cloned().collect();
    // What perfmap shares with it tells nothing.
    let own = habitats.known(habitats.own()).cloned().unwrap_or_default();
    let here = habitats.of(whereabouts, None).and_then(|id| habitats.known(id)).cloned().unwrap_or_default();
    let container = here.container.filter(|container| own.container.as_ref() != Some(container));
    let mut loose = Vec::new();
    said.extend(container.as_ref().and_then(|container| container.label.clone()));
    if let Some(unit) = here.unit.filter(|unit| own.unit.as_ref() != Some(unit)) {
        said.push(unit.strip_suffix(".service").unwrap_or(&unit).to_owned());
        loose.push(unit);
    }
    if let Some(container) = container {
        said.extend(container.name);
        if container.id.len() == 64 {
            said.extend(container.id.get(..SHORT_ID).map(str::to_owned));
            loose.push(container.id);
        } else {
            said.push(container.id);
        }
    }
    let title = process::title(pid);
    loose.extend(title.split_once(": ").map(|(name, _)| name.trim().to_owned()));
    loose.push(comm.clone());
    for path in std::iter::once(executable).chain(arguments.iter().take(WORDS)) {
        let base = path.rsplit('/').next().unwrap_or(path);
        loose.push(base.to_owned());
        loose.extend(base.rsplit_once('.').map(|(stem, _)| stem.to_owned()));
    }
    let image = Image {
        at: Nanos::ZERO,
        comm,
        executable: executable.clone(),
        arguments: arguments.clone(),
        working_directory: working_directory.clone(),
        service_name: None,
        surroundings: None,
    };
    loose.retain(|name| !name.is_empty());
    Names { said, program: program(&image), loose }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process::Command};

    use super::*;
    use crate::recording::ServiceSelector;

    fn named(names: &[&str]) -> Named {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Named { names, services: Vec::new(), program: |image| format!("map's {}", image.executable) }
    }

    fn fits(name: &str) -> bool {
        named(&[name]).is(std::process::id(), &mut Glance::default())
    }

    #[test]
    fn names_are_those_that_a_person_would_give() {
        let program = std::env::current_exe().expect("a path");
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(fits(&name), "{name}");
        assert!(fits(&format!("map's {}", program.display())));
        assert!(!fits("no-such-service") && !fits(""));
    }

    #[test]
    fn with_a_port_only_where_it_listens_there() {
        let program = std::env::current_exe().expect("a path");
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        assert!(fits(&format!("{name}:{port}")));
        assert!(!fits(&format!("{name}:1")) && !fits(&format!("other:{port}")) && !fits(&format!("{name}:")));
        drop(listener);
        assert!(!fits(&format!("{name}:{port}")));
    }

    #[test]
    fn names_of_the_user_mean_what_he_said() {
        let mut mine = named(&["mine"]);
        assert!(!mine.is(std::process::id(), &mut Glance::default()));
        mine.services.push(NamedService { name: "mine".into(), is: ServiceSelector::Pid(std::process::id()) });
        mine.services.push(NamedService { name: "other".into(), is: ServiceSelector::Pid(1) });
        assert!(mine.is(std::process::id(), &mut Glance::default()));
        assert!(!mine.is(1, &mut Glance::default()), "the other's name was not asked for");
        assert_eq!(mine.missed(), None);
    }

    #[test]
    fn what_nobody_has_is_told_with_what_there_is() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let inherited = std::os::fd::OwnedFd::from(listener.try_clone().expect("a copy"));
        let mut child = Command::new("/bin/sh")
            .args(["-c", "read line"])
            .env("OTEL_SERVICE_NAME", "a-candidate")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::from(inherited))
            .spawn()
            .expect("sh runs");
        let (missed, candidates) = named(&["no-such-service", "a-candidate"]).missed().expect("one is missed");
        drop(child.stdin.take());
        let _ = child.wait();
        assert_eq!(missed, ["no-such-service"]);
        assert!(candidates.iter().any(|name| name == "a-candidate" || name.ends_with(" more")), "{candidates:?}");
    }
}
