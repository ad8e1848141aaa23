#!/bin/sh
# The services are those of w70_twins and w72_twins_cpu. Without go there is no program: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
../w70_twins/setup.sh >/dev/null
if command -v "${GO:-go}" >/dev/null; then
	[ -n "$(find bin/twins -newer calls.go -newer local.go -newer main.go 2>/dev/null)" ] ||
		GOCACHE="$PWD/bin/cache" GO111MODULE=off CGO_ENABLED=0 "${GO:-go}" build -o bin/twins calls.go local.go main.go
fi
echo "setup ok: w78_twins_go"
