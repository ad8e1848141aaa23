//! What one operation of each kind usually takes: the data file, with what the user set over it in the recording.
//! No judgement: `wrong_tool` compares.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::recording::{Nanos, Recording};

const DATA: &str = include_str!("norms.toml");

/// Kinds of operation, as the data file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    HttpHost,
    HttpDatacentre,
    HttpExternal,
    Grpc,
    Dns,
    TlsHandshake,
    QueryIndexed,
    QueryScan,
    WriteSingle,
    WriteBatch,
    Commit,
    PoolAcquire,
    FileReadSmall,
    FileReadLarge,
    FileWriteSync,
    Cache,
    QueuePublish,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "[f64; 2]")]
pub struct Norm {
    pub from_ms: f64,
    pub to_ms: f64,
}

impl TryFrom<[f64; 2]> for Norm {
    type Error = String;
    fn try_from([from_ms, to_ms]: [f64; 2]) -> Result<Self, String> {
        if from_ms.is_finite() && to_ms.is_finite() && 0.0 <= from_ms && from_ms <= to_ms {
            Ok(Norm { from_ms, to_ms })
        } else {
            Err(format!("[{from_ms}, {to_ms}] is no range: two numbers of milliseconds, the smaller first"))
        }
    }
}

impl Norm {
    /// Faster than usual is no fault.
    pub fn holds(&self, length: Nanos) -> bool {
        length.as_ms() <= self.to_ms
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Norms(BTreeMap<Operation, Norm>);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NormsError(#[from] toml::de::Error);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    norms: BTreeMap<Operation, Norm>,
}

impl Norms {
    /// A file with the table `[norms]` alone.
    pub fn parse(text: &str) -> Result<Norms, NormsError> {
        Ok(Norms(toml::from_str::<File>(text)?.norms))
    }

    /// The data file's. What a build brings is checked by a test, so that a mistake in it is not an error here.
    pub fn usual() -> Norms {
        Norms::parse(DATA).unwrap_or_default()
    }

    /// The usual ones, and those that the user set for this recording.
    pub fn of(recording: &Recording) -> Norms {
        let mut norms = Norms::usual();
        norms.0.extend(recording.meta.norms.iter().filter_map(|text| Norms::parse(text).ok()).flat_map(|own| own.0));
        norms
    }

    pub fn of_operation(&self, operation: Operation) -> Option<Norm> {
        self.0.get(&operation).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_has_every_kind() {
        let norms = Norms::parse(DATA).expect("norms.toml");
        assert_eq!(norms.0.len(), 17);
        assert_eq!(norms.of_operation(Operation::Grpc), Some(Norm { from_ms: 0.5, to_ms: 20.0 }));
        assert_eq!(norms.of_operation(Operation::QueuePublish), Some(Norm { from_ms: 1.0, to_ms: 100.0 }));
    }

    #[test]
    fn the_user_s_come_over_the_usual_ones() {
        let mut recording = Recording::default();
        recording.meta.norms = vec!["[norms]\ncache = [0, 9]".into(), "no toml".into()];
        let norms = Norms::of(&recording);
        assert_eq!(norms.of_operation(Operation::Cache), Some(Norm { from_ms: 0.0, to_ms: 9.0 }));
        assert_eq!(norms.of_operation(Operation::Dns), Norms::usual().of_operation(Operation::Dns));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in
            ["[norms]\ncache = [2, 1]", "[norms]\ncache = [nan, 1]", "[norms]\nhttp = [1, 2]", "[other]\n", "="]
        {
            assert!(Norms::parse(wrong).is_err(), "{wrong}");
        }
        let norm = Norm { from_ms: 1.0, to_ms: 5.0 };
        assert!(norm.holds(Nanos(500_000)) && norm.holds(Nanos(5_000_000)) && !norm.holds(Nanos(5_000_001)));
    }
}
