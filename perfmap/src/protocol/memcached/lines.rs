//! One direction of memcached's text protocol: lines, and the data that some of them announce. Data is measured; lines
//! have to be captured.

use crate::protocol::frames::{Lost, Rest};

/// As much of a line is kept: more than all words but a list of keys take.
pub(super) const MAX_KEPT: usize = 1024;
/// Longest line: a get of many keys of 250 bytes.
const MAX_LINE: u64 = 1 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Event {
    /// Without its end. `whole`: nothing of it is missing.
    Line {
        bytes: Vec<u8>,
        whole: bool,
    },
    DataOver,
}

#[derive(Debug, Default)]
pub(in crate::protocol) struct Lane {
    line: Vec<u8>,
    length: u64,
    /// Data that is still to come, with its line end.
    data: Option<u64>,
}

impl Lane {
    /// What the line just read announced.
    pub fn data(&mut self, length: Option<u64>) {
        self.data = length.map(|length| length + 2);
    }

    pub fn next(&mut self, rest: &mut Rest<'_>) -> Result<Option<Event>, Lost> {
        if let Some(left) = &mut self.data {
            let step = (*left).min(rest.length);
            *left -= step;
            rest.skip(step);
            if *left > 0 {
                return Ok(None);
            }
            self.data = None;
            return Ok(Some(Event::DataOver));
        }
        while rest.length > 0 {
            let Some(byte) = rest.byte().filter(|_| self.length < MAX_LINE) else {
                *self = Lane::default();
                return Err(Lost);
            };
            self.length += 1;
            if byte == b'\n' {
                let whole = self.length <= MAX_KEPT as u64;
                self.length = 0;
                let mut bytes = std::mem::take(&mut self.line);
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                return Ok(Some(Event::Line { bytes, whole }));
            }
            if self.line.len() < MAX_KEPT {
                self.line.push(byte);
            }
        }
        Ok(None)
    }
}
