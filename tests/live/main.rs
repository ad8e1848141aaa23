//! Live tests: perfmap on programs that know their own truth. They need root, and say so by failing.

mod attach;
mod backends;
mod children;
mod containers;
mod databases;
mod example;
mod faults;
mod files;
mod halves;
mod http;
mod http2;
mod limits;
mod load;
mod locks;
mod loops;
mod native;
mod peers;
mod python;
mod replay;
mod services;
mod sqlite;
mod storms;
mod threads;
mod tls;
mod tls_proxy;
mod waits;
