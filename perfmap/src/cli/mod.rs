//! (room)

pub mod play;
