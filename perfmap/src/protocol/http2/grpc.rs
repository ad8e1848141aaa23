//! What gRPC makes of an HTTP/2 exchange: the path names the method, the status stands in the trailers, or in the head
//! of an answer that has nothing else. A call that streams is one exchange all the same.

use super::hpack::Fields;

/// As every gRPC answer has it, whatever its own status is; another one comes from something in between.
const HTTP_OK: u16 = 200;
const OK: u16 = 0;

/// An answer's head → its status and whether it is an error. None: neither is known before the trailers.
pub(super) fn head(fields: &Fields) -> Option<(Option<u16>, bool)> {
    match fields.status {
        Some(status) if status != HTTP_OK => Some((Some(status), true)),
        Some(_) | None => trailers(fields),
    }
}

pub(super) fn trailers(fields: &Fields) -> Option<(Option<u16>, bool)> {
    fields.grpc_status.map(|status| (Some(status), status != OK))
}
