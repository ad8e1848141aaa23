//! Compose files → how their services are started.

use crate::discover::{
    found::{CommandKind, CommandSource, Evidence, FoundCommand},
    services::compose_files,
    tree::{Tree, parent},
};

pub fn commands(tree: &Tree) -> Vec<FoundCommand> {
    let files = compose_files(tree);
    files
        .iter()
        .map(|file| FoundCommand {
            kind: CommandKind::Start,
            source: CommandSource::Compose,
            line: "docker compose up".to_owned(),
            directory: parent(file).to_owned(),
            evidence: Evidence::file(file.clone()),
        })
        .collect()
}
