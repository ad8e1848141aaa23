//! A run's output, passed on unchanged, and the progress that it told.

use std::sync::{Arc, Mutex, PoisonError};

use super::errors::Failure;
use crate::{
    baseline::{ProgressPattern, ProgressReader},
    recording::{Nanos, Progress},
    target::{Command, Relay},
};

#[derive(Debug)]
pub struct Capture {
    relay: Relay,
    reader: Arc<Mutex<Option<ProgressReader>>>,
}

/// By CLOCK_MONOTONIC.
#[derive(Debug, Default)]
pub struct Told {
    pub progress: Vec<Progress>,
    /// Lines whose capture was no number.
    pub without_number: u64,
}

impl Capture {
    pub fn begin(pattern: &ProgressPattern, command: &Command) -> Result<Capture, Failure> {
        let reader = Arc::new(Mutex::new(Some(ProgressReader::new(pattern.clone()))));
        let taker = Arc::clone(&reader);
        let listener = Box::new(move |at: Nanos, stream: usize, bytes: &[u8]| {
            if let Some(reader) = taker.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                reader.take(at, stream, bytes);
            }
        });
        let relay = Relay::begin(command.identity.as_ref(), listener)
            .map_err(|error| Failure::Internal { what: format!("the command's output: {error}") })?;
        Ok(Capture { relay, reader })
    }

    /// The command with its output led through here.
    pub fn of(&self, command: &Command) -> Command {
        Command { output: Some(self.relay.ends()), ..command.clone() }
    }

    /// What was told so far; the output goes on being passed on, and nothing more is read in it.
    pub fn told(&self) -> Told {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (progress, without_number) = reader.map(ProgressReader::finish).unwrap_or_default();
        Told { progress, without_number }
    }

    /// After the command's end.
    pub fn finish(self) -> Told {
        let Capture { relay, reader } = self;
        relay.finish();
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (progress, without_number) = reader.map(ProgressReader::finish).unwrap_or_default();
        Told { progress, without_number }
    }
}

impl Told {
    /// Counted from a recording's origin.
    pub fn since(&self, origin: Nanos) -> Vec<Progress> {
        self.progress.iter().map(|told| Progress { at: told.at.since(origin), ..*told }).collect()
    }

    /// What is to be known about it where it told nothing.
    pub fn note(&self) -> Option<String> {
        match (self.progress.len(), self.without_number) {
            (0, 0) => Some(
                "no line of the output matched --progress; output that is no terminal may come late or all at the end, \
                 where the program buffers it (Python: PYTHONUNBUFFERED=1)"
                    .into(),
            ),
            (0, lines) => Some(format!("--progress matched {lines} lines, but what it captured is no number")),
            (1, _) => Some("--progress matched one amount only: no rate follows from it".into()),
            (_, _) => self.in_blocks().then(|| {
                "the progress came in blocks, not as it was made: its times are those of the program's buffer \
                 (Python: PYTHONUNBUFFERED=1)"
                    .into()
            }),
        }
    }

    /// Most of it arrived together with others.
    fn in_blocks(&self) -> bool {
        let together = self.progress.windows(2).filter(|pair| pair[0].at == pair[1].at).count();
        self.progress.len() > 8 && together * 2 > self.progress.len()
    }
}
