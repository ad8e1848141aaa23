//! The truth file that a workload wrote about its own run.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Truth {
    pub path: PathBuf,
    pub json: Value,
}

/// One function as the program itself measured it.
#[derive(Debug, Clone)]
pub struct TrueFunction {
    pub name: String,
    pub wall_ms: f64,
    pub cpu_ms: f64,
    pub wall_share_pct: f64,
    pub http_round_trips: Option<u64>,
}

impl Truth {
    /// The one truth file of a directory that was empty before the run.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        let listing = std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
        let path = listing
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "json"))
            .with_context(|| format!("the workload left no truth in {}", dir.display()))?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let json = serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        Ok(Self { path, json })
    }

    pub fn wall_ms(&self) -> Result<f64> {
        self.json["process"]["wall_ms"].as_f64().context("truth without process.wall_ms")
    }

    pub fn functions(&self) -> Result<Vec<TrueFunction>> {
        let list = self.json["functions"].as_array().context("truth without functions")?;
        list.iter()
            .map(|f| {
                let number = |key: &str| f[key].as_f64().with_context(|| format!("truth: a function without {key}"));
                Ok(TrueFunction {
                    name: f["function"].as_str().context("truth: a function without a name")?.to_owned(),
                    wall_ms: number("wall_ms")?,
                    cpu_ms: number("cpu_ms")?,
                    wall_share_pct: number("wall_share_pct")?,
                    http_round_trips: f["http_round_trips"].as_u64(),
                })
            })
            .collect()
    }

    pub fn function(&self, name: &str) -> Result<TrueFunction> {
        self.functions()?.into_iter().find(|f| f.name == name).with_context(|| format!("truth without {name}"))
    }
}
