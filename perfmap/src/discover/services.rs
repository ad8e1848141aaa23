//! Compose files, workspaces, submodules and the directories that usually hold services → the services whose code lies in
//! the repository, with the ports that they listen on.

mod compose;
mod ports;

pub use compose::files as compose_files;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    found::{Evidence, Stack},
    topology::{ServiceCode, Topology},
    tree::{Tree, is_below, join, name, parent},
};

/// Directories whose subdirectories are services each.
const HOMES: [&str; 5] = ["services", "apps", "packages", "microservices", "cmd"];
const MOST: usize = 1000;

/// Sorted by name. Where several sources name one directory, compose says its name and all of them its ports, what is
/// published outside first.
pub fn services(tree: &Tree, stacks: &[Stack]) -> Topology {
    let mut by_path: BTreeMap<String, ServiceCode> = BTreeMap::new();
    for found in compose::services(tree) {
        add(&mut by_path, found);
    }
    for (path, evidence) in submodules(tree).into_iter().chain(homes(tree)).chain(members(stacks)) {
        let name = name(&path).to_owned();
        add(&mut by_path, ServiceCode { name, path: path.into(), ports: Vec::new(), evidence: evidence.to_string() });
    }
    for service in by_path.values_mut() {
        let path = service.path.to_string_lossy().into_owned();
        service.ports.extend(ports::exposed(tree, &path));
        let mut seen = BTreeSet::new();
        service.ports.retain(|port| seen.insert(*port));
    }
    let mut services: Vec<ServiceCode> = by_path.into_values().take(MOST).collect();
    services.sort_by(|left, right| (&left.name, &left.path).cmp(&(&right.name, &right.path)));
    Topology { services }
}

fn add(by_path: &mut BTreeMap<String, ServiceCode>, found: ServiceCode) {
    let path = found.path.to_string_lossy().into_owned();
    match by_path.get_mut(&path) {
        Some(known) => known.ports.extend(found.ports),
        None => {
            by_path.insert(path, found);
        }
    }
}

/// The innermost service that a file belongs to.
pub fn of_file<'a>(topology: &'a Topology, file: &str) -> Option<&'a ServiceCode> {
    let services = topology.services.iter().filter(|service| is_below(file, &service.path.to_string_lossy()));
    services.max_by_key(|service| service.path.as_os_str().len())
}

/// Where `.gitmodules` puts them; one that is not checked out is named all the same.
fn submodules(tree: &Tree) -> Vec<(String, Evidence)> {
    let text = tree.read(".gitmodules").unwrap_or_default();
    let lines = (1_u32..).zip(text.lines());
    lines
        .filter_map(|(number, line)| {
            let path = line.trim().strip_prefix("path")?.trim_start().strip_prefix('=')?.trim().trim_matches('"');
            Some((plain(path)?, Evidence::at(".gitmodules", number)))
        })
        .collect()
}

/// A path that stays below the root, without `.` and `..`.
pub(super) fn plain(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let sound = !path.starts_with('/') && !parts.contains(&"..") && !path.contains(char::is_control);
    sound.then(|| parts.join("/"))
}

/// `services/x`, wherever a directory of that name lies near the root.
fn homes(tree: &Tree) -> Vec<(String, Evidence)> {
    let mut found: BTreeMap<String, Evidence> = BTreeMap::new();
    for file in tree.files() {
        let parts: Vec<&str> = file.split('/').collect();
        let home = parts.iter().take(2).position(|part| HOMES.contains(part));
        let (Some(home), true) = (home, parts.len() > 2) else { continue };
        // A file that lies in the home itself is no service; nor is a directory without any code.
        let (Some(path), true) = (parts.get(..home + 2), parts.len() > home + 2) else { continue };
        if super::found::Language::of(file).is_some() && !super::stacks::is_sample(&path.join("/")) {
            found.entry(path.join("/")).or_insert_with(|| Evidence::file(format!("{}/", path.join("/"))));
        }
    }
    found.into_iter().collect()
}

/// Packages of a workspace besides the root's.
fn members(stacks: &[Stack]) -> Vec<(String, Evidence)> {
    let inner = stacks.iter().filter(|stack| !stack.directory.is_empty());
    let of_workspace = |stack: &&Stack| {
        stacks.iter().any(|other| other.language == stack.language && parent_of(&other.directory, &stack.directory))
    };
    inner.filter(of_workspace).map(|stack| (stack.directory.clone(), stack.manifest.clone())).collect()
}

fn parent_of(outer: &str, inner: &str) -> bool {
    outer != inner && is_below(inner, outer)
}

/// The directory of a compose file that a path in it is relative to.
fn beside(file: &str, path: &str) -> Option<String> {
    plain(&join(parent(file), path))
}

/// The first port that a command names.
pub fn port_of_command(words: &[String]) -> Option<u16> {
    ports::of_command(words).first().copied()
}
