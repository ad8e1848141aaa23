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
            (Item::Data { stream, ends, length: _ }, Side::Requests) => self.asked_all(stream, ends, marks),
            (Item::Head { stream, ends, fields }, Side::Responses) => {
                self.answered(stream, &fields, marks);
                self.answered_all(stream, ends, marks);
            }
            (Item::Data { stream, ends, length }, Side::Responses) => {
                self.body(stream, length.into(), marks);
                self.answered_all(stream, ends, marks);
            }
            (Item::Reset { stream }, _) => {
                marks.extend(self.streams.end(stream).and_then(|known| given_up(stream, known)))
            }
            (Item::GoAway { last }, Side::Responses) => {
                let above = self.streams.above(last);
                marks.extend(above.into_iter().filter_map(|(stream, known)| given_up(stream, known)));
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
        let stream = Stream { grpc: *grpc, connects, ..Stream::default() };
        self.streams.begin(number, stream);
        let request = CallStep::Request {
            // With gRPC it is POST always and the path alone names what is called.
            method: method.clone().filter(|_| !grpc).map(WebMethod),
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

    fn answered(&mut self, number: u32, fields: &Fields, marks: &mut Vec<Mark>) {
        let interim = fields.status.is_some_and(|status| status < 200);
        let before = self.streams.get(number).unwrap_or_default();
        if interim || before.over {
            return;
        }
        let stream = Stream {
            answered: true,
            grpc: before.grpc || fields.grpc || fields.grpc_status.is_some(),
            missing: before.missing.or(fields.length),
            ..before
        };
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
        if stream.connects && fields.status.is_some_and(|status| status < 300) {
            // What follows is a tunnel.
            self.complete(number, stream, marks);
        }
    }

    fn body(&mut self, number: u32, bytes: u64, marks: &mut Vec<Mark>) {
        let Some(stream @ Stream { missing: Some(missing), over: false, .. }) = self.streams.get(number) else {
            return;
        };
        let missing = missing.saturating_sub(bytes);
        let stream = Stream { missing: Some(missing), ..stream };
        self.streams.set(number, stream);
        // Some clients go away with the last byte, without waiting for an empty frame that says so.
        if missing == 0 {
            self.complete(number, stream, marks);
        }
    }

    /// Before the stream's end.
    fn complete(&mut self, number: u32, stream: Stream, marks: &mut Vec<Mark>) {
        self.streams.set(number, Stream { over: true, ..stream });
        marks.push(mark(number, stream, CallStep::ResponseEnd));
    }

    fn answered_all(&mut self, number: u32, ends: bool, marks: &mut Vec<Mark>) {
        if ends {
            let stream = self.streams.end(number).unwrap_or_default();
            if !stream.over {
                marks.push(mark(number, stream, CallStep::ResponseEnd));
            }
        }
    }
}

/// Of a stream whose answer is complete it says only that the rest of the request is not wanted.
fn given_up(number: u32, stream: Stream) -> Option<Mark> {
    (!stream.over).then(|| mark(number, stream, CallStep::Abandoned))
}

fn mark(stream: u32, known: Stream, step: CallStep) -> Mark {
    Mark::Call { wire: if known.grpc { Wire::Grpc } else { Wire::Http2 }, stream, step }
}
