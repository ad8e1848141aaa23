//! The recording's versioned file: magic, format version, length, then one zstd frame (with checksum) of postcard.
//!
//! Decoding is total on any bytes and bounded in memory, and a decoded recording is consistent: every id points into
//! its table, so that the stages after it may index. Absolute paths and host names are kept as recorded.

mod check;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::{
    Ask, Baseline, Call, Closer, Code, Device, Earlier, Environment, Event, FarEnd, Files, Frame, Gpu, Losses, Meta,
    Module, OwnProfile, Process, PythonFrame, Recording, Socket, Source, Stack, Surroundings, Symbol, Task,
    Translation, Turn, Work,
};

/// The line feed shows transfers in text mode, the zero byte keeps tools from taking it for text.
const MAGIC: [u8; 8] = *b"perfmap\n";
/// Bumped whenever a type of the recording changes; a test pins the bytes that this version gives.
pub const FORMAT_VERSION: u32 = 17;
/// Magic, version, length of the content when decompressed.
const HEADER: usize = 8 + 4 + 8;
/// Longest content that is read: some ten times what a ten-minute profile at 999 Hz of 16 CPUs takes.
const MAX_CONTENT: u64 = 1 << 30;
/// More than this many times the compressed length is no recording: real ones reach 10 to 60, and a frame of zeros
/// some 30,000.
const MAX_RATIO: u64 = 1000;
/// Content that may be read whatever the ratio.
const SMALL_CONTENT: u64 = 1 << 20;
/// 10 s of a busy program are 1 to 5 MB of content: a few milliseconds at this level.
const LEVEL: i32 = 1;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    #[error("this is not a perfmap recording")]
    NotARecording,
    #[error("the recording has format {found}, this perfmap reads format {supported}")]
    OtherVersion { found: u32, supported: u32 },
    #[error("the recording has format {found}, newer than format {supported} that this perfmap reads")]
    NewerVersion { found: u32, supported: u32 },
    #[error("the recording ends too early")]
    Truncated,
    #[error("the recording is damaged: {what}")]
    Corrupt { what: String },
    #[error("the recording could not be encoded: {why}")]
    Encode { why: String },
}

/// What is written: the recording's fields in their order (postcard stores no names).
#[derive(Serialize)]
struct Content<'a> {
    meta: &'a Meta,
    baseline: &'a Option<Baseline>,
    processes: &'a [Process],
    surroundings: &'a [Surroundings],
    tasks: &'a [Task],
    sockets: &'a [Socket],
    modules: &'a [Module],
    codes: &'a [Code],
    kernel_symbols: &'a [String],
    frames: &'a [Frame],
    python_frames: &'a [PythonFrame],
    stacks: &'a [Stack],
    symbols: &'a [Symbol],
    calls: &'a [Call],
    devices: &'a [Device],
    events: &'a [Event],
    losses: &'a Losses,
    turns: &'a [Turn],
    asks: &'a [Ask],
    earlier: &'a Earlier,
    source: &'a Option<Source>,
    gpu: &'a Gpu,
    translations: &'a [Translation],
    work: &'a Work,
    files: &'a Files,
    environment: &'a Environment,
    closer: &'a Closer,
    own_profiles: &'a [OwnProfile],
    far_ends: &'a [FarEnd],
}

/// By its first bytes alone.
pub fn is_recording(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub fn encode(recording: &Recording) -> Result<Vec<u8>, FileError> {
    let content = content(recording)?;
    let failed = |why: std::io::Error| FileError::Encode { why: why.to_string() };
    let mut file = Vec::with_capacity(HEADER + content.len() / 4);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let mut encoder = zstd::Encoder::new(file, LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    std::io::Write::write_all(&mut encoder, &content).map_err(failed)?;
    encoder.finish().map_err(failed)
}

pub fn decode(bytes: &[u8]) -> Result<Recording, FileError> {
    let content = open(bytes)?;
    let (recording, rest) = postcard::take_from_bytes::<Recording>(&content)
        .map_err(|error| corrupt(format!("its content does not decode ({error})")))?;
    if !rest.is_empty() {
        return Err(corrupt("bytes behind its content"));
    }
    check::check(&recording)?;
    Ok(recording)
}

fn content(recording: &Recording) -> Result<Vec<u8>, FileError> {
    // Named one by one, so that a new field does not compile until it is written.
    let Recording {
        meta,
        baseline,
        processes,
        surroundings,
        tasks,
        sockets,
        modules,
        codes,
        kernel_symbols,
        frames,
        python_frames,
        stacks,
        symbols,
        calls,
        devices,
        events,
        losses,
        turns,
        asks,
        earlier,
        source,
        gpu,
        translations,
        work,
        files,
        environment,
        closer,
        own_profiles,
        far_ends,
    } = recording;
    let lossy;
    let meta = if is_text(meta) {
        meta
    } else {
        // serde refuses paths that are not UTF-8: their odd bytes are written as replacement characters.
        lossy = with_text_paths(meta);
        &lossy
    };
    let content = Content {
        meta,
        baseline,
        processes,
        surroundings,
        tasks,
        sockets,
        modules,
        codes,
        kernel_symbols,
        frames,
        python_frames,
        stacks,
        symbols,
        calls,
        devices,
        events,
        losses,
        turns,
        asks,
        earlier,
        source,
        gpu,
        translations,
        work,
        files,
        environment,
        closer,
        own_profiles,
        far_ends,
    };
    let content = postcard::to_stdvec(&content).map_err(|error| FileError::Encode { why: error.to_string() })?;
    if content.len() as u64 > MAX_CONTENT {
        return Err(FileError::Encode {
            why: format!("it takes {} bytes, more than can be read again", content.len()),
        });
    }
    Ok(content)
}

fn is_text(meta: &Meta) -> bool {
    meta.project_roots.iter().chain([&meta.working_directory]).all(|path| path.to_str().is_some())
}

fn with_text_paths(meta: &Meta) -> Meta {
    let text = |path: &Path| path.to_string_lossy().into_owned().into();
    Meta {
        working_directory: text(&meta.working_directory),
        project_roots: meta.project_roots.iter().map(|root| text(root)).collect(),
        ..meta.clone()
    }
}

/// Checks the header and decompresses, never beyond the length that the header announced.
fn open(bytes: &[u8]) -> Result<Vec<u8>, FileError> {
    if !bytes.starts_with(&MAGIC) {
        let begun = !bytes.is_empty() && MAGIC.starts_with(bytes);
        return Err(if begun { FileError::Truncated } else { FileError::NotARecording });
    }
    let found = u32::from_le_bytes(field(bytes, 8)?);
    if found != FORMAT_VERSION {
        let supported = FORMAT_VERSION;
        return Err(if found > supported {
            FileError::NewerVersion { found, supported }
        } else {
            FileError::OtherVersion { found, supported }
        });
    }
    let length = u64::from_le_bytes(field(bytes, 12)?);
    let frame = bytes.get(HEADER..).unwrap_or_default();
    let most = (frame.len() as u64).saturating_mul(MAX_RATIO).clamp(SMALL_CONTENT, MAX_CONTENT);
    if length > most {
        return Err(corrupt(format!("it claims {length} bytes of content in {} bytes", frame.len())));
    }
    let mut content = Vec::new();
    let mut left = frame;
    let decoder = zstd::Decoder::with_buffer(&mut left).map_err(|error| corrupt(error.to_string()))?.single_frame();
    // One byte more than announced, to see a frame that goes on. The vector grows with what really comes.
    match decoder.take(length + 1).read_to_end(&mut content) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(FileError::Truncated),
        Err(error) => return Err(corrupt(error.to_string())),
    }
    if content.len() as u64 != length {
        return Err(corrupt("its content has not the length that it claims"));
    }
    if !left.is_empty() {
        return Err(corrupt("bytes behind its end"));
    }
    Ok(content)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FileError> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(FileError::Truncated)
}

fn corrupt(what: impl Into<String>) -> FileError {
    FileError::Corrupt { what: what.into() }
}
