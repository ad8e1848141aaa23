//! One direction of a protocol of framed messages: header with a length, then a body → its messages, each with the
//! first bytes of its body. Lengths carry the walk over bytes that were not captured; a header among these is a loss,
//! behind which the lane stands at a message's beginning again: where that is, its owner has to find.

/// Longest header of any protocol here.
const MAX_HEADER: usize = 32;

/// What is left of a transfer.
#[derive(Debug)]
pub(super) struct Rest<'a> {
    pub captured: &'a [u8],
    pub length: u64,
}

impl Rest<'_> {
    pub fn skip(&mut self, count: u64) {
        self.length = self.length.saturating_sub(count);
        let known = usize::try_from(count).unwrap_or(usize::MAX).min(self.captured.len());
        self.captured = &self.captured[known..];
    }

    /// The next byte: None where it was not captured. Not to be asked when nothing is left.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.captured.first()?;
        self.skip(1);
        Some(byte)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    NeedMore,
    /// No message begins so.
    Bad,
    /// `keep`: how many of the body's first bytes are wanted.
    Frame {
        kind: u8,
        body: u64,
        keep: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `body`: its wanted bytes, fewer (`cut`) where they were not captured.
    Message { kind: u8, length: u64, body: Vec<u8>, cut: bool },
    /// The message's last byte has passed.
    Over(u8),
}

/// A byte that was needed was not captured, or makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

#[derive(Debug, Default)]
pub(super) struct Lane {
    header: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    kind: u8,
    length: u64,
    left: u64,
    want: usize,
    kept: Vec<u8>,
    told: bool,
}

impl Lane {
    /// None: the transfer has nothing more to say.
    pub fn next(&mut self, rest: &mut Rest<'_>, header: fn(&[u8]) -> Header) -> Result<Option<Event>, Lost> {
        while self.body.is_none() {
            if rest.length == 0 {
                return Ok(None);
            }
            let Some(byte) = rest.byte().filter(|_| self.header.len() < MAX_HEADER) else { return Err(self.lose()) };
            self.header.push(byte);
            match header(&self.header) {
                Header::NeedMore => {}
                Header::Bad => return Err(self.lose()),
                Header::Frame { kind, body, keep } => {
                    self.header.clear();
                    let want = usize::try_from(body).unwrap_or(usize::MAX).min(keep);
                    self.body = Some(Body { kind, length: body, left: body, want, kept: Vec::new(), told: false });
                }
            }
        }
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        if !body.told {
            let known = rest.captured.len().min(body.want - body.kept.len());
            body.kept.extend_from_slice(&rest.captured[..known]);
            body.left -= known as u64;
            rest.skip(known as u64);
            let cut = body.kept.len() < body.want;
            if cut && rest.length == 0 {
                return Ok(None);
            }
            body.told = true;
            let kept = std::mem::take(&mut body.kept);
            return Ok(Some(Event::Message { kind: body.kind, length: body.length, body: kept, cut }));
        }
        let step = body.left.min(rest.length);
        body.left -= step;
        rest.skip(step);
        if body.left > 0 {
            return Ok(None);
        }
        let kind = body.kind;
        self.body = None;
        Ok(Some(Event::Over(kind)))
    }

    fn lose(&mut self) -> Lost {
        *self = Lane::default();
        Lost
    }
}

/// Whether `bytes` begin with a message: `least` headers in a row, or fewer where the last message ends with them.
pub(super) fn chain(bytes: &[u8], header: fn(&[u8]) -> Header, least: usize) -> bool {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() && count < least {
        let mut length = 1;
        let body = loop {
            match bytes.get(at..at + length).map(header) {
                Some(Header::NeedMore) if length < MAX_HEADER => length += 1,
                Some(Header::Frame { body, .. }) => break body,
                Some(Header::NeedMore | Header::Bad) | None => return false,
            }
        };
        count += 1;
        let Some(next) = usize::try_from(body).ok().and_then(|body| body.checked_add(at + length)) else {
            return count >= least;
        };
        at = next;
    }
    count >= least || count > 0 && at == bytes.len()
}
