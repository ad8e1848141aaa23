//! Where a process runs, as the host sees it (namespaces, unit, container), and the names that the user gave to
//! services. Facts alone: which name a service gets is `map`'s.

use serde::{Deserialize, Serialize};

/// Index into `Recording::surroundings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SurroundingsId(pub u32);

/// What all processes of one container, or of one unit outside of containers, have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Surroundings {
    pub namespaces: Namespaces,
    /// The innermost systemd service: `nginx.service`.
    pub unit: Option<String>,
    pub container: Option<Container>,
}

/// Inode numbers below /proc/PID/ns; 0 where they could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Namespaces {
    pub pid: u32,
    pub mount: u32,
    pub network: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// As its runtime calls it: 64 hexadecimal digits for most.
    pub id: String,
    /// What the user called it, where the runtime's files tell.
    pub name: Option<String>,
    /// What a compose or Kubernetes label says it is.
    pub label: Option<String>,
}

/// A name that the user gave: `--service NAME=…` or a line of `perfmap.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedService {
    pub name: String,
    pub is: ServiceSelector,
}

/// What tells a service's processes from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceSelector {
    Pid(u32),
    /// A TCP port of this host that it listens on.
    Port(u16),
    /// The name of a container, or the beginning of its id.
    Container(String),
    /// A systemd unit, with or without `.service`.
    Unit(String),
    /// Absolute: the program, its script, or a directory that holds one of them.
    Path(String),
}
