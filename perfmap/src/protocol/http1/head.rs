//! The bytes of one head → what a mark keeps of it, and how its body is framed. `httparse` reads the lines; values
//! of header fields do not leave this file, except the host.

use crate::protocol::detect::MAX_METHOD;
use crate::recording::{CallStep, WebMethod};

const MAX_TARGET: usize = 256;
const MAX_HOST: usize = 255;
/// Fields that fit without an allocation; heads with more are parsed again with room for as many as can be.
const USUAL_FIELDS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    None,
    /// 1xx: neither a body nor an answer.
    Interim,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug)]
pub(super) struct RequestHead {
    pub method: String,
    target: String,
    host: Option<String>,
    pub upgrade: bool,
    /// None: the fields contradict each other.
    pub framing: Option<Framing>,
}

#[derive(Debug)]
pub(super) struct ResponseHead {
    pub status: u16,
    /// With 101: the connection goes on with HTTP/2 in clear text.
    pub http2: bool,
    pub framing: Option<Framing>,
}

impl RequestHead {
    pub fn into_step(self) -> CallStep {
        let RequestHead { method, target, host, upgrade: _, framing: _ } = self;
        CallStep::Request { method: Some(WebMethod(method)), operation: Some(target), host, repeat: None }
    }
}

pub(super) fn request(bytes: &[u8]) -> Option<RequestHead> {
    with_fields(bytes, |fields| {
        let mut parsed = httparse::Request::new(fields);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_request_line_delimiters(true).ignore_invalid_headers_in_requests(true);
        let status = config.parse_request(&mut parsed, bytes);
        status.map(|status| {
            if status.is_partial() {
                return None;
            }
            let (target, authority) = target(parsed.method?, parsed.path?);
            let framing = match Fields::read(parsed.headers) {
                Fields { coding: Some(Coding::Chunked), .. } => Some(Framing::Chunked),
                Fields { coding: Some(Coding::Other), .. } | Fields { length: Some(None), .. } => None,
                Fields { length: Some(Some(length)), .. } => Some(Framing::Length(length)),
                Fields { length: None, .. } => Some(Framing::None),
            };
            Some(RequestHead {
                method: bounded(parsed.method?, MAX_METHOD),
                target,
                host: authority.or_else(|| host(value(parsed.headers, "host")?)),
                upgrade: has_token(parsed.headers, "connection", "upgrade")
                    && value(parsed.headers, "upgrade").is_some(),
                framing,
            })
        })
    })
}

pub(super) fn response(bytes: &[u8]) -> Option<ResponseHead> {
    with_fields(bytes, |fields| {
        let mut parsed = httparse::Response::new(fields);
        let mut config = httparse::ParserConfig::default();
        config
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_multiple_spaces_in_response_status_delimiters(true)
            .ignore_invalid_headers_in_responses(true);
        let status = config.parse_response(&mut parsed, bytes);
        status.map(|status| {
            if status.is_partial() {
                return None;
            }
            let framing = match Fields::read(parsed.headers) {
                Fields { coding: Some(Coding::Chunked), .. } => Some(Framing::Chunked),
                Fields { coding: Some(Coding::Other), .. } | Fields { coding: None, length: None } => {
                    Some(Framing::UntilClose)
                }
                Fields { length: Some(length), .. } => length.map(Framing::Length),
            };
            let http2 = has_token(parsed.headers, "upgrade", "h2c");
            Some(ResponseHead { status: parsed.code?, http2, framing })
        })
    })
}

/// A head of which only the first part is known, closed so that it parses: at its last whole line, or, where the
/// request line itself is cut, right there.
pub(super) fn repair(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut repaired;
    match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => {
            repaired = bytes[..=end].to_vec();
        }
        None if bytes.starts_with(b"HTTP/") => return None,
        None => {
            repaired = bytes.to_vec();
            repaired.extend_from_slice(b" HTTP/1.1\r\n");
        }
    }
    repaired.extend_from_slice(b"\r\n");
    Some(repaired)
}

fn with_fields<'b, T>(
    bytes: &'b [u8],
    parse: impl Fn(&mut [httparse::Header<'b>]) -> Result<Option<T>, httparse::Error>,
) -> Option<T> {
    match parse(&mut [httparse::EMPTY_HEADER; USUAL_FIELDS]) {
        // The shortest field is `a:` and a line feed.
        Err(httparse::Error::TooManyHeaders) => {
            parse(&mut vec![httparse::EMPTY_HEADER; bytes.len() / 3 + 1]).ok().flatten()
        }
        answer => answer.ok().flatten(),
    }
}

enum Coding {
    /// `chunked` is the last transfer coding.
    Chunked,
    Other,
}

struct Fields {
    coding: Option<Coding>,
    /// Some(None): there is a length, and it is no number, or there are two that differ.
    length: Option<Option<u64>>,
}

impl Fields {
    fn read(headers: &[httparse::Header<'_>]) -> Fields {
        let mut fields = Fields { coding: None, length: None };
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                let last = header.value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
                let chunked = last.eq_ignore_ascii_case(b"chunked");
                fields.coding = Some(if chunked { Coding::Chunked } else { Coding::Other });
            } else if header.name.eq_ignore_ascii_case("content-length") {
                for item in header.value.split(|byte| *byte == b',') {
                    let number = number(item.trim_ascii());
                    fields.length = Some(match fields.length {
                        None => number,
                        Some(earlier) if earlier == number => number,
                        Some(_) => None,
                    });
                }
            }
        }
        fields
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn value<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).any(|header| {
        header.value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

/// The path alone, and the authority where the target names one (RFC 9112, 3.2).
fn target(method: &str, target: &str) -> (String, Option<String>) {
    if method == "CONNECT" {
        let name = host(target.as_bytes());
        return (name.clone().unwrap_or_default(), name);
    }
    let absolute = ["http://", "https://", "ws://", "wss://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let (authority, path) = match absolute {
        None => (None, target),
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let path = if rest[end..].starts_with('/') { &rest[end..] } else { "/" };
            (host(&rest.as_bytes()[..end]), path)
        }
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    (bounded(path, MAX_TARGET), authority)
}

/// Name and port without user information.
pub(in crate::protocol) fn host(value: &[u8]) -> Option<String> {
    let name = value.rsplit(|byte| *byte == b'@').next()?.trim_ascii();
    let plain = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && !b"/?#\\".contains(byte));
    let name = std::str::from_utf8(name).ok().filter(|_| plain)?;
    Some(bounded(name, MAX_HOST))
}

pub(in crate::protocol) fn bounded(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
