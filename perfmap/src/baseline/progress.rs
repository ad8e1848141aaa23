//! The command's output → how far the work was, and when: lines that match the user's pattern.
//!
//! Does not know where the output comes from nor who counts. A line ends at a line feed or a carriage return (progress
//! bars draw over themselves); colours and the like are taken out before it is matched.

use regex::bytes::Regex;

use crate::recording::{Nanos, Progress, Work};

/// Longer lines are matched as far as this.
const LONGEST_LINE: usize = 4096;
/// Standard output and standard error.
const STREAMS: usize = 2;

/// A pattern with one capture (done) or two (done, total).
#[derive(Debug, Clone)]
pub struct ProgressPattern(Regex);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("it is no regular expression: {0}")]
    NotARegex(String),
    #[error("it captures nothing")]
    NoCapture,
    #[error("it has {0} captures, but progress has two at most: done and total")]
    TooManyCaptures(usize),
}

impl PartialEq for ProgressPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl ProgressPattern {
    pub fn new(typed: &str) -> Result<ProgressPattern, PatternError> {
        let regex = Regex::new(typed).map_err(|error| {
            // The library's own text has several lines; the last one says what is wrong.
            let text = error.to_string();
            PatternError::NotARegex(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        })?;
        match regex.captures_len().saturating_sub(1) {
            0 => Err(PatternError::NoCapture),
            1 | 2 => Ok(ProgressPattern(regex)),
            more => Err(PatternError::TooManyCaptures(more)),
        }
    }

    fn read(&self, line: &[u8]) -> Matched {
        let Some(captures) = self.0.captures(line) else { return Matched::Nothing };
        let number = |index: usize| captures.get(index).map(|found| number(found.as_bytes()));
        match (number(1), number(2)) {
            (Some(Some(done)), total) => Matched::Told { done, total: total.flatten() },
            (Some(None) | None, _) => Matched::NoNumber,
        }
    }
}

enum Matched {
    Nothing,
    /// What it captured is not a number.
    NoNumber,
    Told {
        done: u64,
        total: Option<u64>,
    },
}

/// "1234", "1,234", "1_234", "12.5" (whole items count).
fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let plain: String = text.trim().chars().filter(|c| !matches!(c, ',' | '_' | '\'' | ' ')).collect();
    let whole = plain.split('.').next().unwrap_or_default();
    whole.parse().ok()
}

/// What was read so far.
#[derive(Debug)]
pub struct ProgressReader {
    pattern: ProgressPattern,
    /// The line that is not at its end yet, by stream.
    begun: [Vec<u8>; STREAMS],
    work: Work,
    /// Lines that matched and whose capture is no number.
    pub without_number: u64,
    /// Lines in all.
    pub lines: u64,
}

impl ProgressReader {
    pub fn new(pattern: ProgressPattern) -> ProgressReader {
        ProgressReader { pattern, begun: Default::default(), work: Work::default(), without_number: 0, lines: 0 }
    }

    /// A piece of a stream's output that came at that instant.
    pub fn take(&mut self, at: Nanos, stream: usize, bytes: &[u8]) {
        let Some(begun) = self.begun.get_mut(stream) else { return };
        let mut line = std::mem::take(begun);
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    self.line(at, &line);
                    line.clear();
                }
                _ if line.len() < LONGEST_LINE => line.push(*byte),
                _ => {}
            }
        }
        if let Some(begun) = self.begun.get_mut(stream) {
            *begun = line;
        }
    }

    fn line(&mut self, at: Nanos, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        self.lines += 1;
        match self.pattern.read(&without_escapes(line)) {
            Matched::Nothing => {}
            Matched::NoNumber => self.without_number += 1,
            Matched::Told { done, total } => {
                let told = Progress { at, done, total };
                let same = |last: &Progress| (last.done, last.total) == (done, total);
                if !self.work.progress.last().is_some_and(same) {
                    self.work.add_progress(told);
                }
            }
        }
    }

    /// All of it, by the clock that it was taken with.
    pub fn finish(mut self) -> (Vec<Progress>, u64) {
        let last = self.work.progress.last().map_or(Nanos::ZERO, |last| last.at);
        for begun in std::mem::take(&mut self.begun) {
            self.line(last, &begun);
        }
        (self.work.progress, self.without_number)
    }
}

/// Takes out what steers a terminal: ESC [ … letter, ESC letter, other controls.
fn without_escapes(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            if byte == b'\t' || byte >= 0x20 {
                plain.push(byte);
            }
            continue;
        }
        match bytes.next() {
            Some(b'[') => while bytes.next().is_some_and(|byte| !(0x40..=0x7e).contains(&byte)) {},
            // A title or a link, up to its end.
            Some(b']') => while bytes.next().is_some_and(|byte| byte != 0x07 && byte != 0x1b) {},
            Some(_) | None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pattern: &str, pieces: &[(u64, usize, &str)]) -> Vec<(u64, u64, Option<u64>)> {
        let mut reader = ProgressReader::new(ProgressPattern::new(pattern).expect("a pattern"));
        for (at, stream, piece) in pieces {
            reader.take(Nanos(*at), *stream, piece.as_bytes());
        }
        reader.finish().0.iter().map(|told| (told.at.0, told.done, told.total)).collect()
    }

    #[test]
    fn done_and_total_from_lines_in_pieces() {
        let told = read(r"(\d+)/(\d+)", &[(1, 0, "done 1/1"), (2, 0, "0\nskip\ndone 2"), (3, 0, "/10\n")]);
        assert_eq!(told, [(2, 1, Some(10)), (3, 2, Some(10))]);
    }

    #[test]
    fn streams_do_not_run_into_each_other() {
        let told = read(r"^n=(\d+)$", &[(1, 0, "n=1"), (2, 1, "n=5\n"), (3, 0, "2\n")]);
        assert_eq!(told, [(2, 5, None), (3, 12, None)]);
    }

    #[test]
    fn bars_that_draw_over_themselves_and_colours() {
        let told = read(r"([\d,]+) items", &[(1, 1, "\r\x1b[32m1,024 items\x1b[0m\r\x1b]0;title\x072,048 items\r")]);
        assert_eq!(told, [(1, 1024, None), (1, 2048, None)]);
    }

    #[test]
    fn the_same_amount_again_is_no_news_and_the_last_line_may_lack_its_end() {
        let told = read(r"(\d+)", &[(1, 0, "1\n1\n1\n"), (9, 0, "2")]);
        assert_eq!(told, [(1, 1, None), (1, 2, None)]);
    }

    #[test]
    fn patterns_that_cannot_work_are_refused() {
        assert!(matches!(ProgressPattern::new("("), Err(PatternError::NotARegex(why)) if why.contains("group")));
        assert_eq!(ProgressPattern::new("done"), Err(PatternError::NoCapture));
        assert_eq!(ProgressPattern::new("(a)(b)(c)"), Err(PatternError::TooManyCaptures(3)));
        let mut reader = ProgressReader::new(ProgressPattern::new("(.*) done").expect("a pattern"));
        reader.take(Nanos(1), 0, b"all done\n");
        assert_eq!(reader.finish(), (vec![], 1));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(pieces in proptest::collection::vec((0_usize..3, proptest::collection::vec(any::<u8>(), 0..200)), 0..30)) {
            let mut reader = ProgressReader::new(ProgressPattern::new(r"(\d+)(?:/(\d+))?").expect("a pattern"));
            for (at, (stream, bytes)) in pieces.iter().enumerate() {
                reader.take(Nanos(at as u64), *stream, bytes);
            }
            let (told, _) = reader.finish();
            prop_assert!(told.is_sorted_by_key(|told| told.at));
        }
    }
}
