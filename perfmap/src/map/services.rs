//! Processes → services: whose name a step carries.
//!
//! A process is a service where it says so (OTEL_SERVICE_NAME, a name it set itself) or where another traced process
//! reaches it over a socket; and there is the command's own. All others (tools, shells, workers) belong to the service
//! of their nearest ancestor.

use crate::{
    correlate::Flows,
    recording::{Image, Nanos, Process, ProcessId, Recording},
};

#[derive(Debug)]
pub(super) struct Services {
    /// The root's first, the others by name.
    pub names: Vec<String>,
    /// By `ProcessId`: index into `names`.
    of_process: Vec<u32>,
    /// By `ProcessId`: a service itself, not a part of its ancestor's.
    serves: Vec<bool>,
}

impl Services {
    /// `has_project`: by `ProcessId`, whether a function of the project was seen in it.
    pub(super) fn new(recording: &Recording, flows: &Flows, has_project: &[bool]) -> Self {
        let processes = &recording.processes;
        let root = recording.meta.root.and_then(|root| recording.tasks.get(root.0 as usize)).map(|task| task.process);
        let mut serves: Vec<bool> = processes.iter().map(|process| own_name(recording, process).is_some()).collect();
        let mut serve = |id: ProcessId| {
            if let Some(flag) = serves.get_mut(id.0 as usize) {
                *flag = true;
            }
        };
        for peer in flows.peers.iter().filter_map(|peer| peer.process) {
            serve(peer);
        }
        let main = main_process(recording, root, has_project);
        let mut names = vec![main.map_or_else(|| "main".into(), |main| name(recording, main))];
        let chosen: Vec<String> = (0..processes.len())
            .map(|index| {
                // Only ids below: the parent of a process is older; a cycle or a wrong order ends the search.
                let mut at = index;
                loop {
                    let Some(process) = processes.get(at) else { return names[0].clone() };
                    if serves[at] && Some(at) != root.map(|root| root.0 as usize) {
                        return name(recording, process);
                    }
                    match process.parent {
                        Some(parent) if (parent.0 as usize) < at => at = parent.0 as usize,
                        Some(_) | None => return names[0].clone(),
                    }
                }
            })
            .collect();
        let mut others: Vec<&String> = chosen.iter().filter(|name| **name != names[0]).collect();
        others.sort_unstable();
        others.dedup();
        names.extend(others.into_iter().cloned().collect::<Vec<_>>());
        let of_process =
            chosen.iter().map(|chosen| names.iter().position(|name| name == chosen).unwrap_or(0) as u32).collect();
        Self { names, of_process, serves }
    }

    /// Before a process executes something of its own, it is still a part of its maker.
    pub(super) fn at(&self, recording: &Recording, process: ProcessId, at: Nanos) -> u32 {
        let id = match recording.processes.get(process.0 as usize) {
            Some(of) if before_exec(of, at) => of.parent.unwrap_or(process),
            Some(_) | None => process,
        };
        self.of_process.get(id.0 as usize).copied().unwrap_or(0)
    }

    pub(super) fn of(&self, process: ProcessId) -> &str {
        &self.names[self.of_process.get(process.0 as usize).copied().unwrap_or(0) as usize]
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
fn main_process<'a>(recording: &'a Recording, root: Option<ProcessId>, has_project: &[bool]) -> Option<&'a Process> {
    let own = |index: usize| !recording.is_outside(ProcessId(index as u32));
    let mut of_project = recording.processes.iter().zip(has_project).enumerate();
    let of_project = of_project.find(|(index, (_, has))| **has && own(*index)).map(|(_, (process, _))| process);
    of_project.or_else(|| recording.processes.get(root?.0 as usize))
}

fn otel_name(process: &Process) -> Option<&str> {
    process.images.last()?.service_name.as_deref().filter(|name| !name.is_empty())
}

/// What the process calls itself, unless that is only inherited.
fn own_name<'a>(recording: &'a Recording, process: &'a Process) -> Option<&'a str> {
    let parent = process.parent.and_then(|parent| recording.processes.get(parent.0 as usize));
    let said = otel_name(process).filter(|name| parent.and_then(otel_name) != Some(*name));
    // Runtimes name their main thread by themselves.
    let set =
        process.own_name.as_deref().filter(|name| !matches!(*name, "" | "MainThread" | "node-MainThread" | "main"));
    said.or(set)
}

fn name(recording: &Recording, process: &Process) -> String {
    match otel_name(process).or_else(|| own_name(recording, process)) {
        Some(name) => name.into(),
        None => process
            .images
            .last()
            .map(program)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("pid {}", process.pid)),
    }
}

/// What a person calls the program: the module or script that an interpreter runs, else the binary.
pub(super) fn program(image: &Image) -> String {
    let argv = &image.arguments;
    let binary = argv.first().filter(|first| !first.is_empty()).unwrap_or(&image.executable);
    // Servers write what they do over their arguments: `nginx: worker process`, `postgres: writer`.
    let binary = binary.split_once(": ").map_or(binary.as_str(), |(name, _)| name);
    let binary = base(binary).trim_start_matches('-');
    let binary = if binary.is_empty() { image.comm.as_str() } else { binary };
    let script = match binary {
        _ if binary.starts_with("python") || binary.starts_with("pypy") => python(argv),
        "node" | "nodejs" | "ruby" | "perl" | "php" | "sh" | "bash" | "dash" | "zsh" | "bun" | "deno" => {
            argv.get(1).filter(|first| !first.starts_with('-')).map(|script| (stem(script), 2))
        }
        _ => Some((binary.to_owned(), 1)),
    };
    let Some((name, next)) = script else { return binary.into() };
    match name.as_str() {
        // Servers that are given the application: `uvicorn app.main:app`.
        "uvicorn" | "gunicorn" | "hypercorn" | "daphne" | "granian" => argv
            .iter()
            .skip(next)
            .filter(|argument| !argument.contains('/'))
            .filter_map(|argument| argument.split_once(':').map(|(module, _)| module))
            .find(|module| module.starts_with(|first: char| first.is_alphabetic() || first == '_'))
            .map_or(name.clone(), Into::into),
        _ => name,
    }
}

/// Name and index of the first argument after it.
fn python(argv: &[String]) -> Option<(String, usize)> {
    let mut index = 1;
    while let Some(argument) = argv.get(index) {
        match argument.as_str() {
            "-m" => return argv.get(index + 1).map(|module| (module.trim_end_matches(".__main__").into(), index + 2)),
            "-c" | "-" => return None,
            "-W" | "-X" | "-Q" => index += 2,
            flag if flag.starts_with("-m") => return Some((flag[2..].into(), index + 1)),
            flag if flag.starts_with('-') => index += 1,
            script => return Some((stem(script), index + 1)),
        }
    }
    None
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(script: &str) -> String {
    let file = base(script);
    let file = if file == "__main__.py" { base(script.trim_end_matches("/__main__.py")) } else { file };
    let cut = [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".sh", ".php"]
        .iter()
        .find_map(|extension| file.strip_suffix(extension));
    cut.filter(|cut| !cut.is_empty()).unwrap_or(file).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_called_by_what_they_run() {
        for (line, expected) in [
            ("python3 x.py --flag", "x"),
            ("/v/bin/python -m app.serve 8000", "app.serve"),
            ("python -W ignore -u tool.py", "tool"),
            ("/v/bin/python /v/bin/pytest tests", "pytest"),
            ("python /v/bin/uvicorn --port 80 app.main:app", "app.main"),
            ("python -m gunicorn -b 127.0.0.1:80 wsgi:app", "wsgi"),
            ("python pkg/__main__.py", "pkg"),
            ("python -c pass", "python"),
            ("python", "python"),
            ("sh -c true", "sh"),
            ("bash ./run.sh", "run"),
            ("node server.js", "server"),
            ("curl -s -L http://x", "curl"),
            ("/usr/bin/redis-server *:6379", "redis-server"),
            ("nginx:\u{a0}master\u{a0}process\u{a0}/usr/sbin/nginx\u{a0}-e\u{a0}/tmp/error.log", "nginx"),
        ] {
            let image = Image {
                at: Nanos::ZERO,
                comm: "c".into(),
                executable: "/e".into(),
                // A hard space stands for one within an argument.
                arguments: line.split(' ').map(|argument| argument.replace('\u{a0}', " ")).collect(),
                working_directory: String::new(),
                service_name: None,
            };
            assert_eq!(program(&image), expected, "{line}");
        }
    }
}
