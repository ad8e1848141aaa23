//! Go's runtime: whether a process is a program of Go's, where its goroutines lie, and what the reasons of their waits mean;
//! the functions that a program's own table names, also where it is stripped.

pub mod discover;
pub mod functions;
pub mod layout;
pub mod pclntab;
pub mod reasons;

pub use discover::{Discoverer, Discovery, Found};
pub use functions::Functions;
pub use reasons::{Reason, Reasons};
