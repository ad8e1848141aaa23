//! Map and analysis → the files and the terminal report. The only room that knows output formats and writes sentences.

mod from_map;
mod human;
mod json;
mod number;
pub mod output;
mod sentence;
mod text;
mod yaml;

pub use from_map::document;
