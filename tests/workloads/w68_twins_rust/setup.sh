#!/bin/sh
# The services are those of w70_twins. The program needs nothing but Rust's own library.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
../w70_twins/setup.sh >/dev/null
[ bin/twins -nt twins.rs ] || rustc --edition 2021 -C opt-level=2 -g -o bin/twins twins.rs
echo "setup ok: w68_twins_rust"
