#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
rustc --edition 2021 -O -g -o bin/workers workers.rs
echo "setup ok: w79_workers"
