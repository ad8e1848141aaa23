//! The rules on calls and on what they carry: one file each.

pub(super) mod connection_per_request;
pub(super) mod n_plus_one_queries;
pub(super) mod repeated;
pub(super) mod sequential_http_calls;
