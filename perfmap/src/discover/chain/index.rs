//! All sources of a repository, read once, and what they define by name.

use super::{
    extract::Detail,
    facts::Facts,
    language::Language,
    parse::Parsers,
    routes::{self, Table, join::Route},
    walk,
};
use crate::discover::topology::Topology;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

const MOST_THREADS: usize = 8;

/// One function of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    pub file: usize,
    pub function: usize,
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub path: String,
    pub language: Option<Language>,
    pub facts: Facts,
    pub table: Table,
    /// Position in `Index::services`.
    pub service: Option<usize>,
}

impl File {
    pub(super) fn dir(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    /// The name without directory and extension.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split('.').next().unwrap_or(name)
    }
}

#[derive(Debug)]
pub(super) struct Service {
    pub name: String,
    /// Relative, without a slash at its end; empty for the whole repository.
    pub dir: String,
    pub ports: Vec<u16>,
}

/// What a repository's source says, ready to be asked.
#[derive(Debug)]
pub struct Index {
    pub(super) root: PathBuf,
    pub(super) files: Vec<File>,
    pub(super) by_path: HashMap<String, usize>,
    pub(super) by_dir: HashMap<String, Vec<usize>>,
    pub(super) functions: HashMap<String, Vec<At>>,
    /// File and position in its classes.
    pub(super) classes: HashMap<String, Vec<(usize, usize)>>,
    pub(super) go_modules: Vec<(String, String)>,
    pub(super) services: Vec<Service>,
    pub(super) routes: Vec<Route>,
    pub(super) notes: Vec<String>,
}

impl Index {
    /// Reads all sources below `root`; what cannot be read or parsed is left out and counted in [`Index::notes`].
    pub fn build(root: &Path, topology: &Topology) -> Self {
        let tree = walk::sources(root);
        let services: Vec<Service> = topology
            .services
            .iter()
            .map(|service| Service {
                name: service.name.clone(),
                dir: service.path.to_string_lossy().trim_start_matches("./").trim_matches(['/', '.']).to_owned(),
                ports: service.ports.clone(),
            })
            .collect();
        let mut notes = tree.notes;
        let mut files = read_all(root, tree.files, &mut notes);
        for file in &mut files {
            file.service = service_of(&services, &file.path);
        }
        let mut index = Self {
            root: root.to_owned(),
            by_path: HashMap::new(),
            by_dir: HashMap::new(),
            functions: HashMap::new(),
            classes: HashMap::new(),
            go_modules: tree.go_modules,
            services,
            routes: Vec::new(),
            notes,
            files,
        };
        index.name_all();
        index.routes = routes::join::all(&index);
        index
    }

    /// What a bound has left out, in words for the user.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How many source files were read.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    fn name_all(&mut self) {
        for (at, file) in self.files.iter().enumerate() {
            self.by_path.insert(file.path.clone(), at);
            self.by_dir.entry(file.dir().to_owned()).or_default().push(at);
            for (function, one) in file.facts.functions.iter().enumerate().skip(1) {
                self.functions.entry(one.name.clone()).or_default().push(At { file: at, function });
            }
            for (class, one) in file.facts.classes.iter().enumerate() {
                self.classes.entry(one.name.clone()).or_default().push((at, class));
            }
        }
    }

    pub(super) fn service_name(&self, file: usize) -> Option<String> {
        let service = self.files.get(file)?.service?;
        self.services.get(service).map(|service| service.name.clone())
    }
}

/// The one whose directory is the nearest above the file.
fn service_of(services: &[Service], path: &str) -> Option<usize> {
    let holds = |dir: &str| dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let all = services.iter().enumerate().filter(|(_, service)| holds(&service.dir));
    all.max_by_key(|(at, service)| (service.dir.len(), usize::MAX - at)).map(|(at, _)| at)
}

fn read_all(root: &Path, found: Vec<walk::Found>, notes: &mut Vec<String>) -> Vec<File> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, MOST_THREADS);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut parsers = Parsers::default();
        let mut done = Vec::new();
        while let Some(one) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = walk::read(root, &one.path);
            let facts = match text {
                Some(text) if worth(one.language, &text) => {
                    let facts = parsers.read(one.language, &text, Detail::Outline);
                    facts.map(|facts| with_names(one.language, facts, &text, &mut parsers))
                }
                Some(_) => Some(Facts::default()),
                None => None,
            };
            done.push((one, facts));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // A thread that died has lost its files alone; they are missed below.
        done.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        done
    });
    done.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    let missing = found.len() - done.iter().filter(|(_, facts)| facts.is_some()).count();
    let cut = done.iter().filter(|(_, facts)| facts.as_ref().is_some_and(|facts| facts.cut)).count();
    for (count, why) in [
        (missing, "source files could not be read, or took too long to parse"),
        (cut, "source files are deeper or larger than is read: their beginning counts"),
    ] {
        if count > 0 {
            notes.push(format!("{count} {why}"));
        }
    }
    done.into_iter()
        .map(|(one, facts)| {
            let facts = facts.unwrap_or_default();
            let table = routes::of(one.language, &facts);
            File { path: one.path.clone(), language: Some(one.language), facts, table, service: None }
        })
        .collect()
}

/// A function that sets up routes needs its names: `mux.HandleFunc("/x", s.item)` is a method of what `s` is.
fn with_names(language: Language, mut facts: Facts, text: &[u8], parsers: &mut Parsers) -> Facts {
    let setting_up: BTreeSet<usize> =
        routes::of(language, &facts).routes.iter().map(|route| route.within).filter(|within| *within != 0).collect();
    if setting_up.is_empty() {
        return facts;
    }
    if let Some(whole) = parsers.read(language, text, Detail::Everything) {
        for within in setting_up {
            if let (Some(function), Some(whole)) = (facts.functions.get_mut(within), whole.functions.get(within)) {
                function.bindings.clone_from(&whole.bindings);
            }
        }
    }
    facts
}

/// A file with none of its language's marks defines nothing; one whose lines are as long as a file is generated.
fn worth(language: Language, text: &[u8]) -> bool {
    const LONG_LINE: usize = 20_000;
    let mut rest = text;
    let mut longest = 0;
    for line in memchr::memchr_iter(b'\n', text) {
        let at = text.len() - rest.len();
        longest = longest.max(line.saturating_sub(at));
        rest = text.get(line + 1..).unwrap_or_default();
    }
    longest.max(rest.len()) < LONG_LINE
        && language.marks().iter().any(|mark| memchr::memmem::find(text, mark).is_some())
}
