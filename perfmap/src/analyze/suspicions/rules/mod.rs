//! The rules on calls and on what they carry: one file each.

pub(super) mod connection_per_request;
pub(super) mod delayed_ack_stall;
pub(super) mod dns_per_request;
pub(super) mod file_sizes;
pub(super) mod n_plus_one_queries;
pub(super) mod repeated;
pub(super) mod sequential_awaits;
pub(super) mod sequential_http_calls;
pub(super) mod sync_io_in_async;
