#!/bin/sh
# With the project's own lock file, so that nothing has to be fetched.
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
[ bin/w44_tokio -nt src/main.rs ] && { echo "setup ok: w44_tokio"; exit 0; }
cp ../../../Cargo.lock Cargo.lock
build() { CARGO_TARGET_DIR=target cargo build -q --release "$@"; }
build --offline || build
cp target/release/w44_tokio bin/
echo "setup ok: w44_tokio"
