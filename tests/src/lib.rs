//! The harness of the live tests: runs the perfmap binary on a workload, reads the map that it wrote and the truth that the
//! workload measured in that very run, and compares. Knows perfmap from outside alone: its arguments, files and exit codes.

pub mod map;
pub mod places;
pub mod recorded;
pub mod service;
pub mod trace;
pub mod truth;
pub mod turn;
pub mod workload;

pub use map::{Map, Step};
pub use service::Service;
pub use trace::{Trace, Traced};
pub use truth::Truth;
pub use turn::turn;
