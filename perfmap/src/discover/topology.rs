//! The services whose code lies in one repository.

use std::path::PathBuf;

/// One service: its name, where its code is, where it listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceCode {
    pub name: String,
    /// Relative to the repository's root.
    pub path: PathBuf,
    pub ports: Vec<u16>,
    /// Where this was read: `docker-compose.yml: services.api`.
    pub evidence: String,
}

/// Sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    pub services: Vec<ServiceCode>,
}
