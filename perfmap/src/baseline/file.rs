//! A measured baseline as a file of its own, to be reused by a later run of the same command.

use serde::{Deserialize, Serialize};

use crate::recording::Baseline;

const VERSION: u32 = 1;
/// A thousand runs are below 400 KiB.
pub const FILE_LIMIT: u64 = 1 << 20;
const RUNS_LIMIT: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineFile {
    pub version: u32,
    pub command: Vec<String>,
    pub baseline: Baseline,
}

#[derive(Debug, thiserror::Error)]
pub enum BaselineFileError {
    #[error("not a baseline file: {0}")]
    Malformed(serde_json::Error),
    #[error("baseline file version {found}, this perfmap reads version {VERSION}")]
    Version { found: u32 },
    #[error("the baseline file has no runs")]
    NoRuns,
    #[error("the baseline file has {0} runs, more than any real one")]
    TooManyRuns(usize),
    #[error("the baseline file has a run without a wall time")]
    NoWallTime,
}

impl BaselineFile {
    pub fn new(command: Vec<String>, baseline: Baseline) -> BaselineFile {
        BaselineFile { version: VERSION, command, baseline }
    }

    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Total on any bytes. The version is read first, so that a newer file is called newer and not broken.
    pub fn decode(bytes: &[u8]) -> Result<BaselineFile, BaselineFileError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(BaselineFileError::Malformed)?;
        if head.version != VERSION {
            return Err(BaselineFileError::Version { found: head.version });
        }
        let file: BaselineFile = serde_json::from_slice(bytes).map_err(BaselineFileError::Malformed)?;
        match file.baseline.runs.len() {
            0 => return Err(BaselineFileError::NoRuns),
            count if count > RUNS_LIMIT => return Err(BaselineFileError::TooManyRuns(count)),
            _ => {}
        }
        if file.baseline.runs.iter().any(|run| run.wall.0 == 0) {
            return Err(BaselineFileError::NoWallTime);
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::{Metrics, Nanos};

    fn example() -> BaselineFile {
        let run = Metrics { wall: Nanos(7), memory_delta: -3, ..Metrics::default() };
        BaselineFile::new(vec!["make".into()], Baseline { warmups: 1, runs: vec![run], reused_from: None })
    }

    #[test]
    fn comes_back_unchanged() {
        let bytes = example().encode().expect("plain data");
        assert_eq!(BaselineFile::decode(&bytes).expect("just written"), example());
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let text = String::from_utf8(example().encode().expect("plain data")).expect("JSON is UTF-8");
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(BaselineFile::decode(newer.as_bytes()), Err(BaselineFileError::Version { found: 2 })));
        let empty = BaselineFile::new(vec![], Baseline::default()).encode().expect("plain data");
        assert!(matches!(BaselineFile::decode(&empty), Err(BaselineFileError::NoRuns)));
        let timeless = text.replace("\"wall\": 7", "\"wall\": 0");
        assert!(matches!(BaselineFile::decode(timeless.as_bytes()), Err(BaselineFileError::NoWallTime)));
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(BaselineFile::decode(&bytes).is_err());
        }

        #[test]
        fn damage_is_never_a_panic(at in 0_usize..600, with in any::<u8>()) {
            let mut bytes = example().encode().expect("plain data");
            let length = bytes.len();
            bytes[at % length] = with;
            let _ = BaselineFile::decode(&bytes);
        }
    }
}
