//! The rules of the catalogue, one file each.

pub(super) mod connection_per_request;
pub mod cpu_bound_hot_function;
pub mod cpu_contention;
pub mod cpu_throttling;
pub mod database_write_lock;
pub(super) mod delayed_ack_stall;
pub(super) mod dns_per_request;
pub(super) mod file_sizes;
pub mod gil_contention;
pub(super) mod large_allocation;
pub mod lock_contention;
pub(super) mod memory_leak;
pub(super) mod n_plus_one_queries;
pub(crate) mod pacing;
pub(super) mod pool_exhaustion;
mod pool_places;
pub(super) mod rate_limiting;
pub mod remote_service_cpu_bound;
pub(super) mod repeated;
pub(super) mod repeated_computation;
pub(super) mod sequential_awaits;
pub(super) mod sequential_http_calls;
mod steps;
pub(super) mod sync_io_in_async;
pub(super) mod tls_full_handshake;
pub(super) mod unused;
