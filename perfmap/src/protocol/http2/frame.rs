//! Nine bytes → a frame's header (RFC 9113, 4.1), and whether they can be one.

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const HEADER: usize = 9;
/// Largest payload unless a peer allows more; frames are looked for with this one.
const USUAL_LENGTH: u32 = 1 << 14;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Promise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Extensions, which those who do not know them pass over.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub length: u32,
    pub kind: Kind,
    flags: u8,
    pub stream: u32,
}

impl Header {
    /// None: no frame begins so.
    pub fn read(bytes: &[u8; HEADER]) -> Option<Header> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            5 => Kind::Promise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        let header = Header {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The reserved bit has no meaning.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        };
        header.plausible().then_some(header)
    }

    fn plausible(&self) -> bool {
        let Header { length, kind, stream, .. } = *self;
        match kind {
            Kind::Data => stream != 0 && (!self.padded() || length > 0),
            Kind::Headers => stream != 0 && length >= self.before_block(),
            Kind::Priority => stream != 0 && length == 5,
            Kind::Reset => stream != 0 && length == 4,
            Kind::Settings => stream == 0 && length.is_multiple_of(6) && (!self.acknowledges() || length == 0),
            Kind::Promise => stream != 0 && length >= self.before_block(),
            Kind::Ping => stream == 0 && length == 8,
            Kind::GoAway => stream == 0 && length >= 8,
            Kind::WindowUpdate => length == 4,
            Kind::Continuation => stream != 0,
            Kind::Other => true,
        }
    }

    /// Can be one where a frame is only guessed: nothing unusual about it.
    pub fn likely(&self) -> bool {
        let flags = match self.kind {
            Kind::Data => END_STREAM | PADDED,
            Kind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Promise => END_HEADERS | PADDED,
            Kind::Continuation => END_HEADERS,
            Kind::Priority | Kind::Reset | Kind::GoAway | Kind::WindowUpdate => 0,
            Kind::Other => return false,
        };
        self.flags & !flags == 0 && self.length <= USUAL_LENGTH
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    pub fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    pub fn acknowledges(&self) -> bool {
        self.flags & ACK != 0
    }

    fn padded(&self) -> bool {
        self.flags & PADDED != 0
    }

    /// Bytes of the payload in front of the header block.
    fn before_block(&self) -> u32 {
        let padding = u32::from(self.padded());
        match self.kind {
            Kind::Headers if self.flags & PRIORITY != 0 => padding + 5,
            Kind::Headers => padding,
            Kind::Promise => padding + 4,
            _ => 0,
        }
    }

    /// The part of a header block in this frame's payload, and whether bytes of it are missing behind. `payload` may be
    /// the first bytes alone. None: it contradicts itself.
    pub fn block<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let (start, length) = (self.before_block() as usize, self.length as usize);
        let in_block = matches!(self.kind, Kind::Headers | Kind::Promise) && self.padded();
        let padding = if in_block { payload.first().copied().map_or(0, usize::from) } else { 0 };
        let end = length.checked_sub(padding).filter(|end| *end >= start)?;
        let known = payload.get(start..payload.len().min(end)).unwrap_or_default();
        Some((known, payload.len() < end))
    }
}

/// Whether a transfer that begins with these bytes begins with a frame: each header in it leads to the next. Where the
/// first header is not complete yet, only what is there is looked at.
pub(super) fn chain(bytes: &[u8]) -> Option<Vec<Header>> {
    let (mut at, mut headers) = (0_usize, Vec::new());
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<HEADER>()) {
        let header = Header::read(header).filter(Header::likely)?;
        at += HEADER + header.length as usize;
        headers.push(header);
    }
    Some(headers)
}
