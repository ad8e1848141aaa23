//! DNS over UDP (a message a transfer) and TCP (a length before each message) → calls. An answer has its question's id, so
//! a question that is asked again with the same id, because no answer came, leaves the first one without one. Names are
//! kept: they are addresses.

#[cfg(test)]
mod tests;

use super::dialogue::{Dialogue, Side};
use super::frames::{Event, Header, Lane, Lost, Rest};
use crate::recording::{CallStep, Mark, Wire};

const HEADER: usize = 12;
/// A question: a name, its type and class.
const MAX_QUESTION: usize = 255 + 4;
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// RFC 1035 and those that are met today; others go by their number.
const TYPES: [(u16, &str); 12] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (64, "SVCB"),
    (65, "HTTPS"),
];

#[derive(Debug)]
pub(super) enum Connection {
    Datagrams,
    /// None: lost.
    Stream {
        requests: Option<Lane>,
        responses: Option<Lane>,
    },
}

impl Connection {
    pub fn stream() -> Connection {
        Connection::Stream { requests: Some(Lane::default()), responses: Some(Lane::default()) }
    }
}

impl Dialogue for Connection {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let (requests, responses) = match self {
            Connection::Datagrams => return read(side, captured, marks),
            Connection::Stream { requests, responses } => (requests, responses),
        };
        let lane = if side == Side::Requests { requests } else { responses };
        let mut rest = Rest { captured, length };
        if lane.is_none() && message_length(captured).is_some_and(|announced| announced + 2 == length) {
            *lane = Some(Lane::default());
        }
        while let Some(reading) = lane {
            match reading.next(&mut rest, header) {
                Ok(None) => return,
                Ok(Some(Event::Message { body, .. })) => read(side, &body, marks),
                Ok(Some(Event::Over(_))) => {}
                Err(Lost) => {
                    *lane = None;
                    marks.push(Mark::Call { wire: Wire::Dns, stream: 0, step: CallStep::Desync });
                }
            }
        }
    }
}

fn message_length(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<2>().map(|length| u64::from(u16::from_be_bytes(*length)))
}

fn header(bytes: &[u8]) -> Header {
    match message_length(bytes) {
        None => Header::NeedMore,
        Some(length) if length < HEADER as u64 => Header::Bad,
        Some(length) => Header::Frame { kind: 0, body: length, keep: HEADER + MAX_QUESTION },
    }
}

/// One message. What is none says nothing.
fn read(side: Side, bytes: &[u8], marks: &mut Vec<Mark>) {
    let Some(([id_high, id_low, high, low, questions_high, questions_low, ..], rest)) =
        bytes.split_first_chunk::<HEADER>()
    else {
        return;
    };
    // 0 would mean answers in order.
    let stream = u32::from(u16::from_be_bytes([*id_high, *id_low])) + 1;
    let is_answer = high & 0x80 != 0;
    let mut push = |step| marks.push(Mark::Call { wire: Wire::Dns, stream, step });
    match side {
        Side::Requests if !is_answer && (*questions_high, *questions_low) != (0, 0) => {
            push(CallStep::Request { method: None, operation: question(rest), host: None, repeat: None });
            push(CallStep::RequestEnd);
        }
        Side::Responses if is_answer => {
            push(CallStep::Response { status: None, failed: low & 0x0f != 0 });
            push(CallStep::ResponseEnd);
        }
        Side::Requests | Side::Responses => {}
    }
}

/// `AAAA example.org`.
fn question(bytes: &[u8]) -> Option<String> {
    let mut name = String::new();
    let mut rest = bytes;
    loop {
        let (length, behind) = rest.split_first()?;
        let length = usize::from(*length);
        if length == 0 {
            rest = behind;
            break;
        }
        if length > MAX_LABEL || name.len() + length > MAX_NAME {
            return None;
        }
        let (label, behind) = behind.split_at_checked(length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }));
        rest = behind;
    }
    let kind = u16::from_be_bytes(*rest.first_chunk::<2>()?);
    let kind = match TYPES.iter().find(|(number, _)| *number == kind) {
        Some((_, known)) => (*known).to_owned(),
        None => format!("TYPE{kind}"),
    };
    Some(format!("{kind} {}", if name.is_empty() { "." } else { &name }))
}
