//! The last output lines of a failed command, without standing between the command and its output.
//!
//! Passing output through a pipe would change it: buffering, colours, order. So nothing is passed through. Output on a
//! terminal or in a pipe has just been shown where the user wanted it; output in a file is read from that file, from
//! where it ended when the run began.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

const TAIL_BYTES: u64 = 16 << 10;
const LINES: usize = 20;

/// Where the command's output ended before a run.
#[derive(Debug)]
pub struct Witness {
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    file: File,
    began: u64,
    identity: (u64, u64),
}

impl Witness {
    pub fn of_own_output() -> Witness {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let mut streams: Vec<Stream> = Vec::new();
        for stream in [stream(out.as_fd()), stream(err.as_fd())].into_iter().flatten() {
            if streams.iter().all(|other| other.identity != stream.identity) {
                streams.push(stream);
            }
        }
        Witness { streams }
    }

    /// Empty where the output went to a terminal or a pipe, or where our own messages go to the same file.
    pub fn last_lines(&mut self) -> Vec<String> {
        let own = std::io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
        let own = own.ok().map(|facts| (facts.dev(), facts.ino()));
        let others = self.streams.iter_mut().filter(|stream| Some(stream.identity) != own);
        others.flat_map(|stream| tail(&mut stream.file, stream.began)).collect()
    }
}

/// None: not a regular file.
fn stream(fd: BorrowedFd<'_>) -> Option<Stream> {
    let facts = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
    if !facts.is_file() || facts.file_type().is_char_device() {
        return None;
    }
    // Opened again through the descriptor itself: no path is followed, and reading moves no shared position.
    let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
    let file = File::open(format!("/proc/self/fd/{number}")).ok()?;
    Some(Stream { file, began: facts.len(), identity: (facts.dev(), facts.ino()) })
}

fn tail(file: &mut File, began: u64) -> Vec<String> {
    let length = file.metadata().map_or(0, |facts| facts.len());
    // A truncated file starts anew.
    let began = if length < began { 0 } else { began };
    let from = length.saturating_sub(TAIL_BYTES).max(began);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.take(TAIL_BYTES).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    lines(&bytes)
}

/// Control characters could move the cursor or colour our own text: they go.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let all: Vec<String> = text
        .lines()
        .map(|line| line.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect())
        .collect();
    all[all.len().saturating_sub(LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_what_this_run_wrote() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(b"old line\n").expect("written");
        let began = file.metadata().expect("facts").len();
        for number in 0..30 {
            writeln!(file, "line {number}").expect("written");
        }
        let shown = tail(&mut file, began);
        assert_eq!(shown.len(), LINES);
        assert_eq!((shown[0].as_str(), shown[LINES - 1].as_str()), ("line 10", "line 29"));
        assert_eq!(tail(&mut file, file.metadata().expect("facts").len()), Vec::<String>::new());
    }

    #[test]
    fn a_truncated_file_is_read_from_its_start() {
        let mut file = tempfile::tempfile().expect("file");
        file.write_all(b"after\n").expect("written");
        assert_eq!(tail(&mut file, 1000), ["after"]);
    }

    #[test]
    fn escape_sequences_do_nothing() {
        assert_eq!(lines(b"\x1b[31mred\x1b[0m\tx\xff\r\n"), ["[31mred[0m x\u{fffd}"]);
    }
}
