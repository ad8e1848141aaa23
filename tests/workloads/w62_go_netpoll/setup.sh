#!/bin/sh
# Without go there is no program: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
if command -v "${GO:-go}" >/dev/null; then
	[ bin/waits -nt waits.go ] || GOCACHE="$PWD/bin/cache" GO111MODULE=off CGO_ENABLED=0 "${GO:-go}" build -o bin/waits waits.go serve.go truth.go
fi
echo "setup ok: w62_go_netpoll"
