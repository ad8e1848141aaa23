//! (placeholder of the interface)

use super::Recording;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("not a recording: {0}")]
    Malformed(serde_json::Error),
}

pub fn encode(recording: &Recording) -> Vec<u8> {
    serde_json::to_vec(recording).unwrap_or_default()
}

pub fn decode(bytes: &[u8]) -> Result<Recording, FileError> {
    serde_json::from_slice(bytes).map_err(FileError::Malformed)
}
