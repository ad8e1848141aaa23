//! Licences, bans, sources and advisories by cargo-deny. The advisory data base comes from a git host: where that is out of
//! reach, the check is said to be skipped, never counted as passed.

use crate::{
    setup::cargo_bin,
    shell::{must, root},
    tally::Tally,
};
use std::{
    net::{TcpStream, ToSocketAddrs},
    process::Command,
    time::Duration,
};

const ADVISORY_HOST: (&str, u16) = ("github.com", 443);

pub fn deny(tally: &mut Tally) {
    let run = |what: &[&str]| {
        let mut deny = Command::new(cargo_bin("cargo-deny"));
        must(deny.current_dir(root()).args(["--locked", "check"]).args(what))
    };
    tally.check("cargo deny: bans, licenses, sources", run(&["bans", "licenses", "sources"]));
    if reachable() {
        tally.check("cargo deny: advisories", run(&["advisories"]));
    } else {
        eprintln!("skipped: cargo deny advisories ({} is out of reach)", ADVISORY_HOST.0);
    }
}

fn reachable() -> bool {
    let addresses = ADVISORY_HOST.to_socket_addrs().into_iter().flatten();
    addresses.take(2).any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok())
}
