//! A container's id, or its namespaces → what its runtime's files on this host say of it: id, name, label.
//!
//! The files are the runtime's, but what is in them the container's owner wrote: only files of root (or our own) are
//! read, only so much of them, and only names come out. Where no file tells, the id alone is known.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::surroundings::is_name;
use crate::recording::{Container, Namespaces};

/// The largest state files that runc writes have some 60 KiB.
const FILE_BYTES: u64 = 4 << 20;
/// Most entries of one directory that are looked at.
const ENTRIES: usize = 4096;
const TEXT_BYTES: usize = 128;

/// Directories of runc's and crun's states, each entry a container; `*` stands for any one directory.
const STATES: [&str; 5] = ["run/runc", "run/crun", "run/docker/runtime-runc/*", "run/containerd/runc/*", "run/youki"];
/// Where the OCI bundles lie, by id.
const BUNDLES: [&str; 4] = [
    "run/containerd/io.containerd.runtime.v2.task/*",
    "run/containers/storage/*",
    "var/lib/containers/storage/*",
    "run/containerd/io.containerd.runtime.v1.linux/*",
];
/// Where podman and CRI-O keep the list of their containers, with names; one directory for each storage driver.
const STORES: [&str; 1] = ["var/lib/containers/storage/*"];
/// Labels that say what a container is; the first that is there. A pod's application has several containers, so their
/// own names come first.
const LABELS: [&str; 7] = [
    "com.docker.compose.service",
    "com.docker.swarm.service.name",
    "io.podman.compose.service",
    "io.kubernetes.container.name",
    "io.kubernetes.cri.container-name",
    "app.kubernetes.io/name",
    "app",
];
const NAMES: [&str; 2] = ["nerdctl/name", "io.kubernetes.cri-o.ContainerName"];

/// Reads the runtimes' files below a root directory, which is `/` but for tests.
#[derive(Debug)]
pub struct Runtimes {
    root: PathBuf,
}

impl Default for Runtimes {
    fn default() -> Runtimes {
        Runtimes { root: "/".into() }
    }
}

/// runc's state.json, as far as it is needed.
#[derive(Deserialize)]
struct State {
    id: String,
    #[serde(default)]
    namespace_paths: BTreeMap<String, String>,
    #[serde(default)]
    init_process_pid: u32,
    #[serde(default)]
    config: StateConfig,
}
#[derive(Deserialize, Default)]
struct StateConfig {
    /// `key=value`
    #[serde(default)]
    labels: Option<Vec<String>>,
}

/// crun's status.
#[derive(Deserialize)]
struct Status {
    pid: u32,
}

/// docker's config.v2.json.
#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Config", default)]
    config: DockerConfig,
}
#[derive(Deserialize, Default)]
struct DockerConfig {
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

/// An OCI bundle's config.json.
#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// One of podman's containers.json.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Runtimes {
    /// `id` from the control group, where it has one; else the container is found by its init's namespaces.
    pub fn container(&self, id: Option<&str>, namespaces: Namespaces) -> Option<Container> {
        match id {
            Some(id) => Some(self.by_id(id)),
            None => self.by_namespaces(namespaces),
        }
    }

    fn by_id(&self, id: &str) -> Container {
        let mut container = Container { id: id.to_owned(), ..Container::default() };
        if !is_name(id) {
            return container;
        }
        if let Some(docker) =
            self.read::<Docker>(&self.root.join("var/lib/docker/containers").join(id), "config.v2.json")
        {
            container.name = text(docker.name.trim_start_matches('/'));
            container.label = docker.config.labels.as_ref().and_then(label);
        }
        for directory in self.directories(&BUNDLES) {
            let directory = directory.join(id);
            for file in ["config.json", "userdata/config.json"] {
                if let Some(Bundle { annotations: Some(annotations) }) = self.read(&directory, file) {
                    told(&mut container, &annotations);
                }
            }
        }
        for directory in self.directories(&STATES) {
            if let Some(State { config, .. }) = self.read(&directory.join(id), "state.json") {
                told(&mut container, &pairs(config));
            }
        }
        if container.name.is_none() {
            // Podman's bundles do not say it.
            let stores = self.directories(&STORES).into_iter();
            let stored = stores.filter_map(|directory| self.read::<Vec<Stored>>(&directory, "containers.json"));
            let own = stored.flatten().find(|stored| stored.id == id);
            container.name = own.and_then(|stored| text(stored.names?.first()?));
        }
        container
    }

    /// For control groups that do not tell: a runtime that was started without them, or from within one.
    fn by_namespaces(&self, namespaces: Namespaces) -> Option<Container> {
        for directory in self.directories(&STATES) {
            for entry in entries(&directory) {
                let Some(id) = entry.file_name().and_then(|name| name.to_str()).filter(|id| is_name(id)) else {
                    continue;
                };
                if let Some(state) = self.read::<State>(&entry, "state.json")
                    && (has_namespaces(state.init_process_pid, namespaces)
                        || state.namespace_paths.get("NEWPID").is_some_and(|path| is_namespace(path, namespaces.pid)))
                {
                    let mut container = self.by_id(id);
                    container.id = text(&state.id).unwrap_or_else(|| id.to_owned());
                    told(&mut container, &pairs(state.config));
                    return Some(container);
                }
                if let Some(status) = self.read::<Status>(&entry, "status")
                    && has_namespaces(status.pid, namespaces)
                {
                    return Some(self.by_id(id));
                }
            }
        }
        None
    }

    /// The patterns' directories; a `*` stands for every entry.
    fn directories(&self, patterns: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for pattern in patterns {
            match pattern.strip_suffix("/*") {
                Some(above) => found.extend(entries(&self.root.join(above))),
                None => found.push(self.root.join(pattern)),
            }
        }
        found
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, directory: &Path, name: &str) -> Option<T> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let file: File = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(directory.join(name)).ok()?;
        let metadata = file.metadata().ok()?;
        let trusted = metadata.uid() == 0 || metadata.uid() == nix::unistd::geteuid().as_raw();
        if !metadata.is_file() || !trusted || metadata.len() > FILE_BYTES {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Sorted, so that the same host gives the same answer.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = listing.map(|entry| entry.path()).take(ENTRIES).collect();
    paths.sort();
    paths
}

/// Whether the process, a container's init, lives in the PID namespace (or, where that is shared, the mount namespace).
fn has_namespaces(init: u32, of: Namespaces) -> bool {
    if init == 0 {
        return false;
    }
    let found = super::surroundings::read(init).namespaces;
    found.mount != 0 && found.mount == of.mount && found.pid == of.pid
}

fn is_namespace(path: &str, inode: u32) -> bool {
    // `/proc/PID/ns/pid` and nothing else: the path comes out of a file.
    let pid = path.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/ns/pid"));
    pid.and_then(|pid| pid.parse().ok())
        .is_some_and(|pid: u32| inode != 0 && super::surroundings::read(pid).namespaces.pid == inode)
}

fn pairs(config: StateConfig) -> BTreeMap<String, String> {
    let split = |label: String| label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    config.labels.into_iter().flatten().filter_map(split).collect()
}

fn told(container: &mut Container, annotations: &BTreeMap<String, String>) {
    if container.label.is_none() {
        container.label = label(annotations);
    }
    if container.name.is_none() {
        container.name = NAMES.iter().find_map(|key| text(annotations.get(*key)?));
    }
}

fn label(labels: &BTreeMap<String, String>) -> Option<String> {
    LABELS.iter().find_map(|key| text(labels.get(*key)?))
}

/// A name as it may be shown: one line, bounded.
fn text(value: &str) -> Option<String> {
    let clean: String = value.chars().filter(|c| !c.is_control()).take(TEXT_BYTES).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4c01db0b339c4b0f4b0f4c01db0b339c4c01db0b339c4b0f4b0f4c01db0b339c";

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Runtimes) {
        let directory = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let root = directory.path().to_owned();
        (directory, Runtimes { root })
    }

    fn nowhere() -> Namespaces {
        Namespaces { pid: 1, mount: 1, network: 1 }
    }

    #[test]
    fn docker_tells_name_and_compose_service() {
        let path = format!("var/lib/docker/containers/{ID}/config.v2.json");
        let (_directory, runtimes) = host(&[(
            &path,
            r#"{"Name":"/shop-web-1","Config":{"Env":["SECRET=x"],"Labels":{"com.docker.compose.service":"web","a":"b"}}}"#,
        )]);
        let found = runtimes.container(Some(ID), nowhere()).unwrap();
        assert_eq!(found, Container { id: ID.into(), name: Some("shop-web-1".into()), label: Some("web".into()) });
    }

    /// As podman 4.3 writes them.
    #[test]
    fn podman_tells_the_name_in_its_list() {
        let bundle = format!("var/lib/containers/storage/overlay-containers/{ID}/userdata/config.json");
        let list = format!(
            r#"[{{"id":"0","names":["other"],"image":""}},{{"id":"{ID}","names":["shop"],"metadata":"{{}}","flags":{{}}}}]"#
        );
        let (_directory, runtimes) = host(&[
            (&bundle, r#"{"annotations":{"io.container.manager":"libpod","io.podman.annotations.init":"FALSE"}}"#),
            ("var/lib/containers/storage/overlay-containers/containers.json", &list),
        ]);
        let found = runtimes.container(Some(ID), nowhere()).unwrap();
        assert_eq!(found, Container { id: ID.into(), name: Some("shop".into()), label: None });
    }

    #[test]
    fn containerd_tells_the_kubernetes_container() {
        let path = format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json");
        let (_directory, runtimes) = host(&[(
            &path,
            r#"{"annotations":{"io.kubernetes.cri.container-name":"api","io.kubernetes.cri.sandbox-name":"pod-7f"}}"#,
        )]);
        assert_eq!(runtimes.container(Some(ID), nowhere()).unwrap().label.as_deref(), Some("api"));
    }

    #[test]
    fn runc_is_found_by_its_init_and_only_by_it() {
        let own = super::super::surroundings::read(std::process::id()).namespaces;
        let state = |pid: u32| {
            format!(r#"{{"id":"web1","init_process_pid":{pid},"config":{{"labels":["bundle=/b","app=shop=x"]}}}}"#)
        };
        let (_directory, runtimes) = host(&[("run/runc/web1/state.json", &state(std::process::id()))]);
        let found = runtimes.container(None, own).unwrap();
        assert_eq!(found, Container { id: "web1".into(), name: None, label: Some("shop=x".into()) });
        assert_eq!(runtimes.container(None, nowhere()), None);
        let (_directory, runtimes) = host(&[("run/runc/web1/state.json", &state(0))]);
        assert_eq!(runtimes.container(None, own), None);
    }

    #[test]
    fn what_cannot_be_read_leaves_the_id() {
        let path = format!("var/lib/docker/containers/{ID}/config.v2.json");
        for content in ["", "{", "[]", r#"{"Name":3}"#] {
            let (_directory, runtimes) = host(&[(&path, content)]);
            let found = runtimes.container(Some(ID), nowhere()).unwrap();
            assert_eq!(found, Container { id: ID.into(), ..Container::default() });
        }
        let (directory, runtimes) = host(&[("secret", r#"{"Name":"/stolen"}"#)]);
        let at = directory.path().join(format!("var/lib/docker/containers/{ID}"));
        std::fs::create_dir_all(&at).unwrap();
        std::os::unix::fs::symlink(directory.path().join("secret"), at.join("config.v2.json")).unwrap();
        assert_eq!(runtimes.container(Some(ID), nowhere()).unwrap().name, None, "links are not followed");
    }

    proptest! {
        #[test]
        fn names_are_one_line(value in "\\PC{0,300}") {
            if let Some(text) = text(&value) {
                prop_assert!(!text.is_empty() && text.chars().count() <= TEXT_BYTES);
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
