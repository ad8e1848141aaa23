//! The rules of the catalogue, one file each.

pub mod cpu_bound_hot_function;
pub mod cpu_contention;
pub mod cpu_throttling;
pub mod database_write_lock;
pub mod gil_contention;
pub mod lock_contention;
pub mod remote_service_cpu_bound;
mod steps;
