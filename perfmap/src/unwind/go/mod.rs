//! Go's runtime: whether a process is a program of Go's, where its goroutines lie, and what the reasons of their waits mean.

pub mod discover;
pub mod layout;
pub mod reasons;

pub use discover::{Discoverer, Discovery, Found};
pub use reasons::{Reason, Reasons};
