//! Live tests: perfmap on programs that know their own truth. They need root, and say so by failing.

mod children;
mod databases;
mod example;
mod faults;
mod files;
mod halves;
mod http;
mod http2;
mod native;
mod python;
mod replay;
mod threads;
