#!/bin/sh
# Without symbols and without debug information, as many are shipped. Without go there is no program: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
if command -v "${GO:-go}" >/dev/null; then
	[ bin/own -nt main.go ] || GOCACHE="$PWD/bin/cache" GOFLAGS=-mod=mod CGO_ENABLED=0 "${GO:-go}" build -ldflags "-s -w" -o bin/own .
fi
echo "setup ok: w90_own_profile"
