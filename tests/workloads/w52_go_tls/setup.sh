#!/bin/sh
# Without go there is no client: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin
if command -v go >/dev/null; then
	[ bin/client -nt client.go ] || GOCACHE="$PWD/bin/cache" GO111MODULE=off CGO_ENABLED=0 go build -o bin/client client.go
fi
echo "setup ok: w52_go_tls"
