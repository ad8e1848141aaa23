//! One direction of memcached's text protocol: lines, and the data that some of them announce. Data is measured; lines
//! have to be captured.

use crate::protocol::frames::Rest;

/// As much of a line is kept: more than all words but a list of keys take.
pub(super) const MAX_KEPT: usize = 1024;
/// Longest line: a get of many keys of 250 bytes.
const MAX_LINE: u64 = 1 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Without its end. `whole`: nothing of it is missing.
    Line {
        bytes: Vec<u8>,
        whole: bool,
    },
    DataOver,
    /// A line was not captured: said once.
    Lost,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    line: Vec<u8>,
    length: u64,
    /// Data that is still to come, with its line end.
    data: Option<u64>,
    lost: bool,
}

impl Lane {
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    pub fn found(&mut self) {
        *self = Lane::default();
    }

    /// What the line just read announced.
    pub fn data(&mut self, length: Option<u64>) {
        self.data = length.map(|length| length + 2);
    }

    pub fn next(&mut self, rest: &mut Rest<'_>) -> Option<Event> {
        if self.lost {
            return None;
        }
        if let Some(left) = &mut self.data {
            let step = (*left).min(rest.length);
            *left -= step;
            rest.skip(step);
            if *left > 0 {
                return None;
            }
            self.data = None;
            return Some(Event::DataOver);
        }
        while rest.length > 0 {
            let Some(byte) = rest.byte().filter(|_| self.length < MAX_LINE) else {
                *self = Lane { lost: true, ..Lane::default() };
                return Some(Event::Lost);
            };
            self.length += 1;
            if byte == b'\n' {
                let whole = self.length <= MAX_KEPT as u64;
                self.length = 0;
                let mut bytes = std::mem::take(&mut self.line);
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                return Some(Event::Line { bytes, whole });
            }
            if self.line.len() < MAX_KEPT {
                self.line.push(byte);
            }
        }
        None
    }
}
