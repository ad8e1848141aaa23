#!/bin/sh
# Without go there is no program: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
if command -v "${GO:-go}" >/dev/null; then
	[ bin/stripped -nt main.go ] ||
		GOCACHE="$PWD/bin/cache" GO111MODULE=off CGO_ENABLED=0 "${GO:-go}" build -ldflags='-s -w' -o bin/stripped main.go
fi
echo "setup ok: w92_go_stripped"
