#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
GOCACHE="$PWD/bin/go" CGO_ENABLED=0 "${GO:-go}" build -o bin/goroutines goroutines.go
rustc --edition 2021 -O -g -o bin/workers workers.rs
echo "setup ok: w79_workers"
