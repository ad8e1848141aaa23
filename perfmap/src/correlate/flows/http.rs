//! The HTTP marks of one socket end, in order → its exchanges. Answers belong to requests first in, first out. A lost
//! direction makes the count low only where an answer can have hidden in the gap: with one request outstanding whose
//! answer has begun, none can.

use std::collections::VecDeque;

use super::{End, Protocol};
use crate::recording::{Direction, Mark, Message, Nanos, StackId, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// No answer, or not all of it.
    Open,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchange {
    pub protocol: Protocol,
    pub sent: Nanos,
    pub received: Nanos,
    pub task: TaskId,
    pub stack: Option<StackId>,
    pub method: Option<String>,
    pub target: Option<String>,
    pub host: Option<String>,
    pub status: Option<u16>,
    pub refused: bool,
    pub repeat: Option<u64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub outcome: Outcome,
}

impl Exchange {
    pub fn opened(message: &Message, protocol: Protocol) -> Exchange {
        Exchange {
            protocol,
            sent: message.at,
            received: message.at,
            task: message.task,
            stack: message.stack,
            method: None,
            target: None,
            host: None,
            status: None,
            refused: false,
            repeat: None,
            request_bytes: 0,
            response_bytes: 0,
            outcome: Outcome::Open,
        }
    }
}

#[derive(Debug)]
pub(super) struct Http {
    pub requests: Direction,
    pub exchanges: Vec<Exchange>,
    pub low: bool,
}

/// None: no HTTP was seen on this end.
pub(super) fn read(messages: &[&Message]) -> Option<Http> {
    let requests = messages.iter().find_map(|message| requests(message))?;
    let mut reader = Reader::default();
    for message in messages {
        if message.direction == requests {
            reader.asking(message);
        } else {
            reader.answering(message);
        }
        if reader.upgraded {
            break;
        }
    }
    reader.over();
    Some(Http { requests, exchanges: reader.exchanges, low: reader.low })
}

fn requests(message: &Message) -> Option<Direction> {
    message.marks.iter().find_map(|mark| match (mark, message.direction) {
        (Mark::HttpRequest { .. }, direction) => Some(direction),
        (Mark::HttpResponse { .. }, Direction::Sent) => Some(Direction::Received),
        (Mark::HttpResponse { .. }, Direction::Received) => Some(Direction::Sent),
        _ => None,
    })
}

#[derive(Debug, Default)]
struct Reader {
    exchanges: Vec<Exchange>,
    /// First message of a request whose head is not complete yet.
    begun: Option<Exchange>,
    /// The request whose body is being sent.
    writing: Option<usize>,
    asking_lost: bool,
    /// Requests whose answer has not begun.
    waiting: VecDeque<usize>,
    /// As many of `waiting`, from the front, may have been answered in a gap.
    unclear: usize,
    /// Requests whose answer, if there was one, lies in a gap.
    hidden: Vec<usize>,
    /// The answer that is being read, and whether its end was lost.
    reading: Option<(usize, bool)>,
    low: bool,
    upgraded: bool,
}

impl Reader {
    fn asking(&mut self, message: &Message) {
        let mut touched: Vec<usize> = self.writing.into_iter().collect();
        for mark in &message.marks {
            match mark {
                Mark::HttpRequest { method, target, host, .. } => {
                    if let Some((reading, true)) = self.reading {
                        // The client goes on, so it has read the whole answer before.
                        self.answered(reading);
                    }
                    let begun = self.begun.take().unwrap_or_else(|| Exchange::opened(message, Protocol::Http1));
                    let index = self.exchanges.len();
                    self.exchanges.push(Exchange {
                        method: Some(method.0.clone()),
                        target: Some(target.clone()),
                        host: host.clone(),
                        ..begun
                    });
                    self.waiting.push_back(index);
                    self.writing = Some(index);
                    self.asking_lost = false;
                    touched.push(index);
                }
                Mark::HttpRequestEnd => self.writing = None,
                // What follows may be the rest of this request, or nothing that is known.
                Mark::HttpDesync => self.asking_lost = true,
                Mark::HttpResponse { .. }
                | Mark::HttpResponseEnd
                | Mark::TlsRecord { .. }
                | Mark::TlsDesync
                | Mark::Upgraded
                | Mark::Call { .. } => {}
            }
        }
        if touched.is_empty() {
            if message.bytes > 0 && !self.asking_lost {
                self.begun.get_or_insert_with(|| Exchange::opened(message, Protocol::Http1)).request_bytes +=
                    message.bytes;
            }
        } else {
            self.share(&touched, message.bytes, |exchange| &mut exchange.request_bytes);
        }
    }

    fn answering(&mut self, message: &Message) {
        let mut touched: Vec<usize> = self.reading.iter().map(|reading| reading.0).collect();
        for index in &touched {
            self.exchanges[*index].received = message.at;
        }
        for mark in &message.marks {
            match mark {
                Mark::HttpResponse { status: 100 | 102..=199, .. } => touched.extend(self.waiting.front()),
                Mark::HttpResponse { status, .. } => {
                    let index = self.begin_answer(message);
                    self.exchanges[index].status = Some(*status);
                    self.exchanges[index].received = message.at;
                    touched.push(index);
                }
                Mark::HttpResponseEnd => {
                    if let Some((reading, _)) = self.reading {
                        self.answered(reading);
                    }
                }
                Mark::HttpDesync => {
                    if let Some((_, lost)) = &mut self.reading {
                        *lost = true;
                    }
                    self.unclear = self.waiting.len();
                    self.low |= self.unclear > 0;
                }
                Mark::Upgraded => self.upgraded = true,
                Mark::HttpRequest { .. }
                | Mark::HttpRequestEnd
                | Mark::TlsRecord { .. }
                | Mark::TlsDesync
                | Mark::Call { .. } => {}
            }
        }
        touched.dedup();
        if touched.is_empty() {
            // A head that is not complete yet.
            touched.extend(self.waiting.front());
        }
        self.share(&touched, message.bytes, |exchange| &mut exchange.response_bytes);
    }

    /// The request that the answer just begun belongs to.
    fn begin_answer(&mut self, message: &Message) -> usize {
        if let Some((earlier, _)) = self.reading {
            self.answered(earlier);
        }
        if self.waiting.len() > self.unclear {
            // Requests were sent after the gap: those before it were answered in it, each uncounted.
            self.hidden.extend(self.waiting.drain(..std::mem::take(&mut self.unclear)));
        } else {
            self.unclear = self.unclear.saturating_sub(1);
        }
        let index = self.waiting.pop_front().unwrap_or_else(|| {
            // Its request was not seen: the connection is older than the recording, or bytes were lost.
            self.low = true;
            self.exchanges.push(Exchange::opened(message, Protocol::Http1));
            self.exchanges.len() - 1
        });
        self.reading = Some((index, false));
        index
    }

    fn answered(&mut self, index: usize) {
        self.exchanges[index].outcome = Outcome::Answered;
        self.reading = None;
    }

    /// The connection or the recording is over.
    fn over(&mut self) {
        if let Some((reading, true)) = self.reading {
            self.answered(reading);
            self.low = true;
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

    fn share(&mut self, among: &[usize], bytes: u64, field: fn(&mut Exchange) -> &mut u64) {
        let count = among.len() as u64;
        for (place, index) in among.iter().enumerate() {
            let extra = u64::from((place as u64) < bytes % count);
            let sum = field(&mut self.exchanges[*index]);
            *sum = sum.saturating_add(bytes / count + extra);
        }
    }
}

/// The exchanges of a connection whose two ends are traced: the client's own, or, where answers were hidden from it,
/// the server's with the client's times. The flag says whether some may still be missing.
pub(super) fn better(client: &End, server: &End) -> (Vec<Exchange>, bool) {
    let count = |end: &End| end.exchanges.iter().filter(|exchange| exchange.outcome == Outcome::Answered).count();
    // What the client's end could only infer from TLS records, the server's may have read.
    let inferred = client.exchanges.iter().any(|exchange| exchange.protocol == Protocol::Tls);
    let hidden = client.low || client.exchanges.is_empty() || (inferred && server.encrypted);
    let alike = server.protocol == client.protocol.or(server.protocol) || (inferred && server.encrypted);
    if !hidden || server.low || !alike || count(server) < count(client) {
        return (client.exchanges.clone(), client.low);
    }
    let mut merged = server.exchanges.clone();
    let last = client.exchanges.iter().map(|exchange| exchange.received).max();
    for (index, exchange) in merged.iter_mut().enumerate() {
        if let Some(task) = client.task {
            exchange.task = task;
        }
        exchange.stack = None;
        if let Some(own) = client.exchanges.get(index) {
            exchange.sent = own.sent;
            exchange.task = own.task;
            exchange.stack = own.stack;
        }
        // Read not before it was sent by the server.
        let read = client.exchanges.get(index).map(|own| own.received).or(last);
        exchange.received = exchange.received.max(read.unwrap_or_default()).max(exchange.sent);
    }
    (merged, false)
}
