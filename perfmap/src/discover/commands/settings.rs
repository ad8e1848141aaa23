//! `perfmap.toml`: what the project itself says about its commands; it comes before all that is found.
//!
//! ```toml
//! [commands]
//! test = "uv run pytest"
//! e2e = "make e2e"
//!
//! [targets]
//! "POST /orders" = "uv run pytest tests/e2e/test_orders.py -s"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::discover::{
    found::{CommandKind, CommandSource, Evidence, FoundCommand},
    tree::Tree,
};

pub const FILE: &str = "perfmap.toml";

/// Other tables are others' business.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    commands: Commands,
    /// A target as it is typed → the command that measures it.
    targets: BTreeMap<String, String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Commands {
    test: Option<String>,
    e2e: Option<String>,
    bench: Option<String>,
    build: Option<String>,
    start: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("{FILE}, line {line}: {what}")]
pub struct SettingsError {
    pub line: usize,
    pub what: String,
}

impl Settings {
    /// The project's own words are not guessed at: what is no such file is an error.
    pub fn read(tree: &Tree) -> Result<Settings, SettingsError> {
        let Some(text) = tree.read(FILE) else { return Ok(Settings::default()) };
        let read: Settings = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            SettingsError {
                line: before.matches('\n').count() + 1,
                what: error.message().lines().next().unwrap_or_default().to_owned(),
            }
        })?;
        Ok(Settings { text, ..read })
    }

    /// What the user gave for this target, and where.
    pub fn of_target(&self, typed: &str) -> Option<(&str, Evidence)> {
        let plain = |target: &str| target.split_whitespace().collect::<Vec<_>>().join(" ");
        let (target, line) = self.targets.iter().find(|(target, _)| plain(target) == plain(typed))?;
        Some((line, self.evidence(&format!("\"{target}\""))))
    }

    pub fn e2e(&self) -> Option<(&str, Evidence)> {
        Some((self.commands.e2e.as_deref()?, self.evidence("e2e")))
    }

    pub(super) fn commands(&self) -> Vec<FoundCommand> {
        let Commands { test, e2e, bench, build, start } = &self.commands;
        let rows = [
            (CommandKind::Test, "test", test),
            (CommandKind::E2eTest, "e2e", e2e),
            (CommandKind::Benchmark, "bench", bench),
            (CommandKind::Build, "build", build),
            (CommandKind::Start, "start", start),
        ];
        let given = rows.into_iter().filter_map(|(kind, key, line)| Some((kind, key, line.as_ref()?)));
        given
            .map(|(kind, key, line)| FoundCommand {
                kind,
                source: CommandSource::Settings,
                line: line.clone(),
                directory: String::new(),
                evidence: self.evidence(key),
            })
            .collect()
    }

    fn evidence(&self, key: &str) -> Evidence {
        let line = super::numbered(&self.text).find(|(_, line)| line.trim_start().starts_with(key));
        Evidence::at(FILE, line.map_or(0, |(number, _)| number))
    }
}
