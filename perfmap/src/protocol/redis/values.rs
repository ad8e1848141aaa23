//! RESP values of one direction: where each begins and ends, and its first words. Bulks are measured by their announced
//! lengths; only the lines between them have to be captured.

use std::hash::{DefaultHasher, Hasher};

use crate::protocol::dialogue::Side;
use crate::protocol::frames::{Lost, Rest};
use crate::protocol::repeat::RunKey;

/// Longest simple string, error or inline command (the server's own limit on the latter).
const MAX_LINE: u64 = 64 * 1024;
/// As much of a line is kept: more than any number takes.
const MAX_KEPT: usize = 256;
/// proto-max-bulk-len can be raised; nobody sends a terabyte.
const MAX_BULK: u64 = 1 << 40;
const MAX_COUNT: u64 = 1 << 32;
const MAX_DEPTH: usize = 64;
const MAX_WORDS: usize = 3;
pub(super) const MAX_WORD: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct Value {
    /// Its first byte; for an inline command 0.
    pub kind: u8,
    /// The first strings in it, or of the line; bounded.
    pub words: Vec<Vec<u8>>,
    /// The same for equal values, where all bytes were captured.
    pub repeat: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Event {
    /// The first line was read.
    Begun(u8),
    Over(Value),
}

#[derive(Debug, Default)]
pub(in crate::protocol) struct Lane {
    value: Option<Open>,
    line: Vec<u8>,
    line_length: u64,
    bulk: Option<Bulk>,
}

#[derive(Debug)]
struct Open {
    kind: u8,
    words: Vec<Vec<u8>>,
    hash: Option<DefaultHasher>,
    told: bool,
    /// Values that are still to come, innermost last; attributes stand beside the value that follows them.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    left: u64,
    attribute: bool,
}

#[derive(Debug)]
struct Bulk {
    /// With its line end.
    left: u64,
    data: u64,
    word: Option<Vec<u8>>,
}

enum Line {
    Scalar(Option<Vec<u8>>),
    Bulk(u64),
    Aggregate { count: u64, attribute: bool },
    Bad,
}

impl Lane {
    /// The value that has begun, with the words seen so far; its last one may still be coming.
    pub fn open(&self) -> Option<Value> {
        self.value.as_ref().map(|open| Value { kind: open.kind, words: open.words.clone(), repeat: None })
    }

    pub fn next(&mut self, rest: &mut Rest<'_>, side: Side, key: &RunKey) -> Result<Option<Event>, Lost> {
        loop {
            if rest.length == 0 {
                return Ok(None);
            }
            if self.bulk.is_some() {
                self.read_bulk(rest);
                match self.finished() {
                    Some(value) => return Ok(Some(Event::Over(value))),
                    None => continue,
                }
            }
            let Some(byte) = rest.byte() else { return Err(self.lose()) };
            let fresh = self.value.is_none();
            if fresh && self.line_length == 0 && matches!(byte, b'\r' | b'\n') && side == Side::Requests {
                continue; // an empty line between commands
            }
            let open = self.value.get_or_insert_with(|| Open::new(side, key));
            if let Some(hash) = &mut open.hash {
                hash.write_u8(byte);
            }
            self.line_length += 1;
            if byte != b'\n' {
                if self.line.len() < MAX_KEPT {
                    self.line.push(byte);
                }
                if self.line_length > MAX_LINE {
                    return Err(self.lose());
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let whole = self.line_length <= MAX_KEPT as u64;
            self.line_length = 0;
            if let Some(event) = self.line_over(line.strip_suffix(b"\r").unwrap_or(&line), whole, side)? {
                return Ok(Some(event));
            }
        }
    }

    fn line_over(&mut self, line: &[u8], whole: bool, side: Side) -> Result<Option<Event>, Lost> {
        let Some(mut open) = self.value.take() else { return Ok(None) };
        let first = !open.told;
        if first && side == Side::Requests && line.first() != Some(&b'*') {
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            open.words = words.take(MAX_WORDS).map(|word| word[..word.len().min(MAX_WORD)].to_vec()).collect();
            return Ok(Some(Event::Over(open.over())));
        }
        // A command is an array of bulks.
        let expected = side == Side::Responses || first || line.first() == Some(&b'$');
        match if expected { read_line(line, whole) } else { Line::Bad } {
            Line::Bad => return Err(self.lose()),
            Line::Scalar(word) => {
                if !first {
                    open.word(word.unwrap_or_default());
                }
                open.kind(line, first);
                open.done();
            }
            Line::Bulk(data) => {
                open.kind(line, first);
                let word = (open.words.len() < MAX_WORDS).then(Vec::new);
                self.bulk = Some(Bulk { left: data + 2, data, word });
                let begun = (first && open.told).then_some(Event::Begun(open.kind));
                self.value = Some(open);
                return Ok(begun);
            }
            Line::Aggregate { count, attribute } => {
                if attribute {
                    open.levels.push(Level { left: count, attribute });
                } else {
                    open.kind(line, first);
                    open.levels.push(Level { left: count, attribute });
                }
                if open.levels.len() > MAX_DEPTH {
                    return Err(self.lose());
                }
                if count == 0 {
                    open.close();
                }
            }
        }
        // What is over at once need not be said to have begun.
        let begun = (first && open.told).then_some(Event::Begun(open.kind));
        self.value = Some(open);
        Ok(self.finished().map(Event::Over).or(begun))
    }

    fn read_bulk(&mut self, rest: &mut Rest<'_>) {
        let (Some(bulk), Some(open)) = (&mut self.bulk, &mut self.value) else { return };
        let step = bulk.left.min(rest.length);
        let known = usize::try_from(step).unwrap_or(usize::MAX).min(rest.captured.len());
        match &mut open.hash {
            Some(hash) if known as u64 == step => {
                // Byte by byte, so that it does not matter how the transfers are cut.
                rest.captured[..known].iter().for_each(|byte| hash.write_u8(*byte));
            }
            hash => *hash = None,
        }
        if let Some(word) = &mut bulk.word {
            let wanted = usize::try_from(bulk.data).unwrap_or(usize::MAX).min(MAX_WORD);
            let more = wanted.saturating_sub(word.len()).min(known);
            word.extend_from_slice(&rest.captured[..more]);
        }
        bulk.left -= step;
        rest.skip(step);
        if bulk.left == 0 {
            let word = self.bulk.take().and_then(|bulk| bulk.word);
            open.word(word.unwrap_or_default());
            open.done();
        }
    }

    fn finished(&mut self) -> Option<Value> {
        let over = |open: &mut Open| open.told && open.levels.is_empty();
        self.value.take_if(|open| self.bulk.is_none() && over(open)).map(Open::over)
    }

    fn lose(&mut self) -> Lost {
        *self = Lane::default();
        Lost
    }
}

impl Open {
    fn new(side: Side, key: &RunKey) -> Open {
        let hash = (side == Side::Requests).then(|| key.hasher());
        Open { kind: 0, words: Vec::new(), hash, told: false, levels: Vec::new() }
    }

    fn kind(&mut self, line: &[u8], first: bool) {
        // Attributes in front of a value are no part of it.
        if first && !self.levels.iter().any(|level| level.attribute) {
            self.kind = line.first().copied().unwrap_or_default();
            self.told = true;
        }
    }

    fn word(&mut self, word: Vec<u8>) {
        if self.words.len() < MAX_WORDS && self.told {
            self.words.push(word);
        }
    }

    /// A value inside ended; and those whose last it was.
    fn done(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.left = level.left.saturating_sub(1);
            if level.left == 0 {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        // An attribute's end is no value's.
        if let Some(Level { attribute: false, .. }) = self.levels.pop() {
            self.done();
        }
    }

    fn over(self) -> Value {
        Value { kind: self.kind, words: self.words, repeat: self.hash.map(|hash| hash.finish()) }
    }
}

fn read_line(line: &[u8], whole: bool) -> Line {
    let Some((kind, rest)) = line.split_first() else { return Line::Bad };
    match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {
            Line::Scalar((*kind == b'+').then(|| rest[..rest.len().min(MAX_WORD)].to_vec()))
        }
        b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' if rest == b"-1" && matches!(kind, b'$' | b'*') => {
            Line::Scalar(None)
        }
        b'$' | b'=' | b'!' => match number(rest, MAX_BULK).filter(|_| whole) {
            Some(length) => Line::Bulk(length),
            None => Line::Bad,
        },
        b'*' | b'~' | b'>' | b'%' | b'|' => match number(rest, MAX_COUNT).filter(|_| whole) {
            Some(count) => {
                let pairs = matches!(kind, b'%' | b'|');
                Line::Aggregate { count: if pairs { count * 2 } else { count }, attribute: *kind == b'|' }
            }
            None => Line::Bad,
        },
        _ => Line::Bad,
    }
}

fn number(digits: &[u8], most: u64) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    (value <= most).then_some(value)
}

/// Whether a reply begins here: its whole first line is known and makes sense.
pub(super) fn is_reply(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().take(MAX_KEPT).position(|byte| *byte == b'\n') else { return false };
    let Some(line) = bytes[..end].strip_suffix(b"\r") else { return false };
    !matches!(read_line(line, true), Line::Bad)
}
