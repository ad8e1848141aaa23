//! The call marks of one socket end, in order → its exchanges. Answers belong to requests first in, first out, or by the
//! number of their stream. Lost answers make the count low only where one can have hidden in the gap: with one request
//! outstanding whose answer has begun, none can. Lost requests do where their answers are not told without them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::exchange::{Exchange, Outcome};
use super::{Protocol, Said};
use crate::recording::{CallStep, Direction, Mark, Message, Wire};

#[derive(Debug)]
pub(super) struct Calls {
    pub requests: Direction,
    /// Of the first call.
    pub protocol: Protocol,
    pub exchanges: Vec<Exchange>,
    pub low: bool,
}

/// None: no call was seen on this end.
pub(super) fn read(messages: &[&Message]) -> Option<Calls> {
    let (requests, wire) = messages.iter().find_map(|message| requests(message))?;
    let mut reader = Reader { heads: wire == Wire::Http1, ..Reader::default() };
    for message in messages {
        reader.message(message, message.direction == requests);
    }
    reader.over();
    let protocol = reader.exchanges.first().map_or(wire.into(), |exchange| exchange.protocol);
    Some(Calls { requests, protocol, exchanges: reader.exchanges, low: reader.low })
}

fn requests(message: &Message) -> Option<(Direction, Wire)> {
    message.marks.iter().find_map(|mark| match (mark, message.direction) {
        (Mark::Call { wire, step: CallStep::Request { .. } | CallStep::RequestEnd, .. }, direction) => {
            Some((direction, *wire))
        }
        (Mark::Call { wire, step: CallStep::Response { .. } | CallStep::ResponseEnd, .. }, Direction::Sent) => {
            Some((Direction::Received, *wire))
        }
        (Mark::Call { wire, step: CallStep::Response { .. } | CallStep::ResponseEnd, .. }, Direction::Received) => {
            Some((Direction::Sent, *wire))
        }
        _ => None,
    })
}

/// An answer that has begun.
#[derive(Debug, Clone, Copy)]
struct Reading {
    index: usize,
    /// Its end fell into bytes that were not captured.
    lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    index: usize,
    /// The answer has begun.
    begun: bool,
    /// Its answer, or the rest of it, may lie in a gap. What comes behind the gap under its number still belongs to it.
    lost: bool,
}

#[derive(Debug, Default)]
struct Reader {
    exchanges: Vec<Exchange>,
    /// Between two requests there is nothing but the next one's head: HTTP/1.
    heads: bool,
    /// First part of a request whose head is not complete yet.
    begun: Option<Exchange>,
    /// Requests were lost: what comes may be the rest of one, or nothing that is known.
    asking_lost: bool,
    /// Requests of which not all has been sent.
    writing: Vec<(u32, usize)>,
    /// In order: requests whose answer has not begun.
    waiting: VecDeque<usize>,
    /// As many of `waiting`, from the front, may have been answered in a gap.
    unclear: usize,
    /// Requests whose answer, if there was one, lies in a gap.
    hidden: Vec<usize>,
    /// In order: the answer that is being read.
    reading: Option<Reading>,
    /// By stream: requests that are not answered to the end.
    streams: BTreeMap<u32, Stream>,
    low: bool,
}

impl Reader {
    fn message(&mut self, message: &Message, asks: bool) {
        let mut touched: Vec<usize> = Vec::new();
        if !asks && let Some(Reading { index, .. }) = self.reading {
            self.exchanges[index].received = message.at;
            touched.push(index);
        }
        for mark in &message.marks {
            let (wire, stream, step) = match mark {
                Mark::Call { wire, stream, step } => (wire, stream, step),
                Mark::Upgraded => {
                    self.heads = false;
                    continue;
                }
                Mark::TlsRecord { .. } | Mark::TlsDesync | Mark::Tokens { .. } => continue,
            };
            let protocol = Protocol::from(*wire);
            match step {
                CallStep::Request { method, operation, host, repeat } => {
                    let begun = self.begun.take().unwrap_or_else(|| Exchange::opened(message, protocol));
                    let exchange = Exchange {
                        method: method.as_ref().map(|method| method.0.clone()),
                        target: operation.clone(),
                        host: host.clone(),
                        repeat: *repeat,
                        ..begun
                    };
                    self.asking_lost = false;
                    touched.push(self.request(*stream, exchange));
                }
                CallStep::RequestEnd => {
                    touched.extend(self.writing.iter().find(|(of, _)| of == stream).map(|(_, index)| *index));
                    self.writing.retain(|(of, _)| of != stream);
                }
                CallStep::Response { status, failed } => {
                    let index = self.response(*stream, message, protocol);
                    let exchange = &mut self.exchanges[index];
                    exchange.status = status.or(exchange.status);
                    exchange.refused = *failed;
                    exchange.received = message.at;
                    touched.push(index);
                }
                CallStep::ResponseEnd => touched.extend(self.response_end(*stream, message)),
                CallStep::Abandoned => self.abandoned(*stream),
                CallStep::Desync => self.lost(asks, *wire),
            }
        }
        touched.sort_unstable();
        touched.dedup();
        if asks {
            if touched.is_empty() {
                touched.extend(self.writing.iter().map(|(_, index)| *index));
            }
            if touched.is_empty() && self.heads && !self.asking_lost && message.bytes > 0 {
                let begun = self.begun.get_or_insert_with(|| Exchange::opened(message, Protocol::Http1));
                begun.request_bytes = begun.request_bytes.saturating_add(message.bytes);
            }
            self.share(&touched, message.bytes, |exchange| &mut exchange.request_bytes);
            self.said(&touched, message, |exchange| &mut exchange.asked);
        } else {
            if touched.is_empty() {
                touched.extend(self.streams.values().filter(|stream| stream.begun).map(|stream| stream.index));
            }
            if touched.is_empty() {
                // Not enough to be told, or what goes before an answer.
                touched.extend(self.waiting.front());
            }
            self.share(&touched, message.bytes, |exchange| &mut exchange.response_bytes);
            self.said(&touched, message, |exchange| &mut exchange.answered);
        }
    }

    fn request(&mut self, stream: u32, exchange: Exchange) -> usize {
        if let Some(Reading { index, lost: true }) = self.reading {
            // The client goes on, so it has read the whole answer before.
            self.answered(index);
            self.reading = None;
        }
        let index = self.exchanges.len();
        self.exchanges.push(exchange);
        self.writing.retain(|(of, _)| *of != stream);
        self.writing.push((stream, index));
        if stream == 0 {
            self.waiting.push_back(index);
        } else {
            // One with the same number that was not answered stays so.
            self.streams.insert(stream, Stream { index, begun: false, lost: false });
        }
        index
    }

    /// The request that an answer belongs to, which begins or goes on.
    fn response(&mut self, stream: u32, message: &Message, protocol: Protocol) -> usize {
        if stream != 0 {
            return match self.streams.get_mut(&stream) {
                Some(Stream { index, begun, lost: _ }) => {
                    if !std::mem::replace(begun, true) {
                        self.exchanges[*index].answers = message.task;
                    }
                    *index
                }
                None => {
                    let index = self.unasked(message, protocol);
                    self.streams.insert(stream, Stream { index, begun: true, lost: false });
                    index
                }
            };
        }
        if let Some(Reading { index, lost }) = self.reading {
            if !lost {
                return index;
            }
            self.answered(index);
        }
        if self.waiting.len() > self.unclear {
            // Requests were sent after the gap: those before it were answered in it, each uncounted.
            self.hidden.extend(self.waiting.drain(..std::mem::take(&mut self.unclear)));
        } else {
            self.unclear = self.unclear.saturating_sub(1);
        }
        let index = self.waiting.pop_front().unwrap_or_else(|| self.unasked(message, protocol));
        self.exchanges[index].answers = message.task;
        self.reading = Some(Reading { index, lost: false });
        index
    }

    /// An answer whose request was not seen: the connection is older than the recording, or bytes were lost.
    fn unasked(&mut self, message: &Message, protocol: Protocol) -> usize {
        self.low = true;
        self.exchanges.push(Exchange::opened(message, protocol));
        self.exchanges.len() - 1
    }

    fn response_end(&mut self, stream: u32, message: &Message) -> Option<usize> {
        let index = if stream == 0 {
            self.reading.take()?.index
        } else {
            let Stream { index, begun, lost } = self.streams.remove(&stream)?;
            (begun || lost).then_some(index)?
        };
        self.exchanges[index].received = message.at;
        self.answered(index);
        Some(index)
    }

    fn abandoned(&mut self, stream: u32) {
        self.writing.retain(|(of, _)| *of != stream);
        if stream == 0 {
            if self.reading.take().is_none() {
                self.waiting.pop_front();
                self.unclear = self.unclear.min(self.waiting.len());
            }
        } else {
            self.streams.remove(&stream);
        }
    }

    fn lost(&mut self, asks: bool, wire: Wire) {
        if asks {
            self.asking_lost = true;
            self.begun = None;
            // An answer without a request is one of HTTP/1 all the same; others are not told from what is no answer.
            self.low |= wire != Wire::Http1;
            return;
        }
        if let Some(reading) = &mut self.reading {
            reading.lost = true;
        }
        self.unclear = self.waiting.len();
        self.streams.values_mut().for_each(|stream| stream.lost = true);
        self.low |= self.unclear > 0;
    }

    fn answered(&mut self, index: usize) {
        self.exchanges[index].outcome = Outcome::Answered;
    }

    /// The connection or the recording is over.
    fn over(&mut self) {
        if let Some(Reading { index, lost: true }) = self.reading {
            self.answered(index);
            self.low = true;
        }
        for Stream { index, begun, lost } in std::mem::take(&mut self.streams).into_values() {
            match (lost, begun) {
                (true, true) => self.answered(index),
                (true, false) => self.hidden.push(index),
                (false, _) => {}
            }
            self.low |= lost;
        }
        // Whether these were answered is not known; they are neither counted nor called failed.
        let unclear = self.unclear.min(self.waiting.len());
        self.hidden.extend(self.waiting.drain(..unclear));
        self.hidden.sort_unstable();
        let mut index = 0;
        self.exchanges.retain(|_| {
            index += 1;
            self.hidden.binary_search(&(index - 1)).is_err()
        });
    }

    fn said(&mut self, by: &[usize], message: &Message, field: fn(&mut Exchange) -> &mut Said) {
        for mark in &message.marks {
            if let Mark::Tokens { hashes, whole } = mark {
                by.iter().for_each(|index| field(&mut self.exchanges[*index]).add(hashes, *whole));
            }
        }
    }

    fn share(&mut self, among: &[usize], bytes: u64, field: fn(&mut Exchange) -> &mut u64) {
        let count = among.len() as u64;
        for (place, index) in among.iter().enumerate() {
            let extra = u64::from((place as u64) < bytes % count);
            let sum = field(&mut self.exchanges[*index]);
            *sum = sum.saturating_add(bytes / count + extra);
        }
    }
}
