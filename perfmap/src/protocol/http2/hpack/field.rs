//! One header field → what is kept of it: method, path without its query, authority, status, and what tells gRPC.
//! Of every other field nothing is kept, not even in the table of the connection.

use super::huffman;
use crate::protocol::{
    detect::MAX_METHOD,
    http1::{bounded, host},
};

/// Longest path and authority that are kept, as with HTTP/1.
const MAX_PATH: usize = 256;
/// A name longer than the longest that is known is another one's.
const MAX_NAME: usize = 16;
/// Authorities come with user information, content types with parameters.
const MAX_VALUE: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Method,
    Path,
    Authority,
    Status,
    ContentType,
    ContentLength,
    GrpcStatus,
    /// One that says nothing about the round trip.
    Other,
    /// Named by an entry that was made before the connection was watched.
    Unseen,
}

/// A field's value as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Of no use, or not what the name says it is.
    None,
    Text(Box<str>),
    Number(u64),
    /// `content-type`: application/grpc and its kinds.
    Grpc,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: Name,
    pub value: Value,
}

/// A string as it lies in the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub huffman: bool,
    pub bytes: &'a [u8],
}

impl Raw<'_> {
    fn read(self, most: usize) -> Option<Vec<u8>> {
        if self.huffman {
            huffman::decode(self.bytes, most)
        } else {
            Some(self.bytes[..self.bytes.len().min(most)].to_vec())
        }
    }
}

impl Name {
    pub fn read(raw: Raw<'_>) -> Name {
        match raw.read(MAX_NAME).unwrap_or_default().as_slice() {
            b":method" => Name::Method,
            b":path" => Name::Path,
            b":authority" | b"host" => Name::Authority,
            b":status" => Name::Status,
            b"content-type" => Name::ContentType,
            b"content-length" => Name::ContentLength,
            b"grpc-status" => Name::GrpcStatus,
            _ => Name::Other,
        }
    }
}

impl Field {
    pub fn read(name: Name, raw: Raw<'_>) -> Field {
        let value = match name {
            Name::Other | Name::Unseen => Value::None,
            Name::Method => text(raw, MAX_METHOD).map_or(Value::None, Value::Text),
            Name::Path => text(raw, MAX_VALUE).map_or(Value::None, |path| Value::Text(plain(&path))),
            Name::Authority => {
                let name = raw.read(MAX_VALUE).and_then(|bytes| host(&bytes));
                name.map_or(Value::None, |name| Value::Text(name.into()))
            }
            Name::Status | Name::GrpcStatus | Name::ContentLength => {
                let digits = text(raw, MAX_NAME).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                digits.and_then(|digits| digits.parse().ok()).map_or(Value::None, Value::Number)
            }
            Name::ContentType => {
                let media = raw.read(MAX_VALUE).unwrap_or_default();
                if media.to_ascii_lowercase().starts_with(b"application/grpc") { Value::Grpc } else { Value::None }
            }
        };
        Field { name, value }
    }

    /// Memory that it takes, no more than the specification's size of the same entry.
    pub fn size(&self) -> usize {
        const ENTRY: usize = 32;
        match &self.value {
            Value::Text(text) => ENTRY + text.len(),
            Value::None | Value::Number(_) | Value::Grpc => ENTRY,
        }
    }
}

/// Without the query: what is never kept cannot leak.
fn plain(path: &str) -> Box<str> {
    bounded(path.split(['?', '#']).next().unwrap_or_default(), MAX_PATH).into()
}

/// Printable text; a string of anything else is no method and no path.
fn text(raw: Raw<'_>, most: usize) -> Option<Box<str>> {
    let bytes = raw.read(most)?;
    let printable = !bytes.is_empty() && bytes.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    printable.then(|| String::from_utf8_lossy(&bytes).into())
}

/// The static table (RFC 7541, appendix A), as far as anything of it is kept.
pub(super) fn static_field(index: usize) -> Field {
    let (name, value) = match index {
        1 | 38 => (Name::Authority, ""),
        2 => (Name::Method, "GET"),
        3 => (Name::Method, "POST"),
        4 => (Name::Path, "/"),
        5 => (Name::Path, "/index.html"),
        8 => (Name::Status, "200"),
        9 => (Name::Status, "204"),
        10 => (Name::Status, "206"),
        11 => (Name::Status, "304"),
        12 => (Name::Status, "400"),
        13 => (Name::Status, "404"),
        14 => (Name::Status, "500"),
        28 => (Name::ContentLength, ""),
        31 => (Name::ContentType, ""),
        _ => (Name::Other, ""),
    };
    Field::read(name, Raw { huffman: false, bytes: value.as_bytes() })
}
