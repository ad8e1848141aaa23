#!/bin/sh
# Without go there is no program: the test says so. One is static, one is placed anywhere, one has C in it.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
build() {
	[ "bin/$1" -nt waits.go ] && [ "bin/$1" -nt serve.go ] ||
		GOCACHE="$PWD/bin/cache" GO111MODULE=off CGO_ENABLED="$2" "${GO:-go}" build "$3" -o "bin/$1" .
}
if command -v "${GO:-go}" >/dev/null; then
	build waits 0 -buildmode=exe
	build waits_pie 0 -buildmode=pie
	build waits_cgo 1 -buildmode=exe
fi
echo "setup ok: w62_go_netpoll"
