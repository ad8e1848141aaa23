//! perfmap: where did the wall time go, across every process and service it touches, and what should be changed?
//!
//! The rooms, in the direction of the data; imports go only this way (`ARCHITECTURE.md`):
//! `target`, `protocol`, `unwind` → `collect` → [`recording`] → `resolve` → `correlate` → `map` → `analyze` → `report`;
//! `baseline` runs the command without deep probes; `pprof` knows that format's bytes; `cli` decides and calls.

pub mod analyze;
pub mod baseline;
pub mod cli;
pub mod collect;
pub mod correlate;
pub mod discover;
pub mod map;
pub mod pprof;
pub mod protocol;
pub mod recording;
pub mod report;
pub mod resolve;
pub mod target;
pub mod unwind;
