//! A target's name and the repository around it → where it is entered, what it is called with, what its source calls.
//!
//! Reads files of the repository and runs nothing. What it finds goes into the recording (`recording::Source`).

pub mod chain;
pub mod topology;
