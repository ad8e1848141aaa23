//! Both directions of an HTTP/2 connection → marks. Frames are followed by their lengths; of header blocks only what
//! was asked and answered is read, bodies are not looked at. It needs nothing but bytes in order, so what TLS carried
//! reads as well as clear text.
//!
//! A connection that was joined has no header table: its calls are counted by their streams, and a name in an entry of
//! that table stays unknown.

mod begin;
mod frame;
mod grpc;
mod hpack;
mod lane;
mod streams;

#[cfg(test)]
mod tests;

use super::dialogue::{Dialogue, Side};
use crate::recording::{CallStep, Mark, WebMethod, Wire};
use hpack::Fields;
use lane::{Item, Lane};
use streams::{Stream, Streams};

pub(super) use begin::begins;

/// The stream of a request that HTTP/1.1 sent with the wish to go on with HTTP/2.
const UPGRADED: u32 = 1;
/// The first status of an error.
const ERRORS: u16 = 400;

#[derive(Debug, Default)]
pub(super) struct Connection {
    requests: Lane,
    responses: Lane,
    streams: Streams,
    /// The first stream belongs to an HTTP/1.1 exchange that is counted there.
    upgraded: bool,
}

impl Dialogue for Connection {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let mut items = Vec::new();
        match side {
            Side::Requests => self.requests.feed(captured, length, &mut items),
            Side::Responses => self.responses.feed(captured, length, &mut items),
        }
        for item in items {
            self.item(side, item, marks);
        }
    }
}

impl Connection {
    /// Behind an upgrade from HTTP/1.1.
    pub fn upgraded() -> Connection {
        Connection { upgraded: true, ..Connection::default() }
    }

    fn item(&mut self, side: Side, item: Item, marks: &mut Vec<Mark>) {
        match (item, side) {
            (Item::Head { stream, .. } | Item::Data { stream, .. }, _) if self.ignores(stream) => {}
            (Item::Head { stream, ends, fields }, Side::Requests) => {
                self.asked(stream, &fields, marks);
                self.asked_all(stream, ends, marks);
            }
            (Item::Data { stream, ends }, Side::Requests) => self.asked_all(stream, ends, marks),
            (Item::Head { stream, ends, fields }, Side::Responses) => {
                let tunnel = self.answered(stream, &fields, marks);
                self.answered_all(stream, ends || tunnel, marks);
            }
            (Item::Data { stream, ends }, Side::Responses) => self.answered_all(stream, ends, marks),
            // Of a stream whose answer is complete it says only that the rest of the request is not wanted.
            (Item::Reset { stream }, _) => marks.extend(self.streams.end(stream).map(|known| abandoned(stream, known))),
            (Item::GoAway { last }, Side::Responses) => {
                marks.extend(self.streams.above(last).into_iter().map(|(stream, known)| abandoned(stream, known)));
            }
            (Item::GoAway { .. }, Side::Requests) => {}
            (Item::Lost, _) => marks.push(mark(0, Stream::default(), CallStep::Desync)),
        }
    }

    /// Nobody asked for a stream that the server began.
    fn ignores(&self, stream: u32) -> bool {
        stream.is_multiple_of(2) || (self.upgraded && stream == UPGRADED)
    }

    fn asked(&mut self, number: u32, fields: &Fields, marks: &mut Vec<Mark>) {
        let Fields { method, path, authority, grpc, .. } = fields;
        // Trailers of a request that was begun where nobody watched: no method, and nothing that hides one.
        let trailers = method.is_none() && path.is_none() && !fields.unseen && !fields.cut;
        if !self.streams.is_new(number) || trailers {
            return;
        }
        let connects = method.as_deref() == Some("CONNECT");
        let stream = Stream { grpc: *grpc, connects, answered: false };
        self.streams.begin(number, stream);
        let request = CallStep::Request {
            method: method.clone().map(WebMethod),
            operation: path.clone().or_else(|| authority.clone().filter(|_| connects)),
            host: authority.clone(),
            repeat: None,
        };
        marks.push(mark(number, stream, request));
    }

    fn asked_all(&mut self, number: u32, ends: bool, marks: &mut Vec<Mark>) {
        if ends {
            let stream = self.streams.get(number).unwrap_or_default();
            marks.push(mark(number, stream, CallStep::RequestEnd));
        }
    }

    /// Whether the answer is complete with its head.
    fn answered(&mut self, number: u32, fields: &Fields, marks: &mut Vec<Mark>) -> bool {
        let interim = fields.status.is_some_and(|status| status < 200);
        if interim {
            return false;
        }
        let before = self.streams.get(number).unwrap_or_default();
        let stream =
            Stream { answered: true, grpc: before.grpc || fields.grpc || fields.grpc_status.is_some(), ..before };
        self.streams.set(number, stream);
        let response = match (stream.grpc, before.answered) {
            (true, false) => Some(grpc::head(fields).unwrap_or((None, false))),
            (true, true) => grpc::trailers(fields),
            (false, false) => Some((fields.status, fields.status.is_some_and(|status| status >= ERRORS))),
            (false, true) => None,
        };
        if let Some((status, failed)) = response {
            marks.push(mark(number, stream, CallStep::Response { status, failed }));
        }
        stream.connects && fields.status.is_some_and(|status| status < 300)
    }

    fn answered_all(&mut self, number: u32, ends: bool, marks: &mut Vec<Mark>) {
        if ends {
            let stream = self.streams.end(number).unwrap_or_default();
            marks.push(mark(number, stream, CallStep::ResponseEnd));
        }
    }
}

fn abandoned(number: u32, stream: Stream) -> Mark {
    mark(number, stream, CallStep::Abandoned)
}

fn mark(stream: u32, known: Stream, step: CallStep) -> Mark {
    Mark::Call { wire: if known.grpc { Wire::Grpc } else { Wire::Http2 }, stream, step }
}
