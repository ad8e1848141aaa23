pub mod distance;
mod grid;
