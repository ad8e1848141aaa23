#!/bin/sh
# Without go there is no program: the test says so. One is static, one is placed anywhere, one has C in it; one needs Debian's
# sources of gRPC.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
debian=/usr/share/gocode
build() {
	[ "bin/$1" -nt "$4/truth.go" ] && [ -z "$(find "$4" -maxdepth 1 -name '*.go' -newer "bin/$1")" ] ||
		GOCACHE="$PWD/bin/cache" GOPATH="$debian" GO111MODULE=off CGO_ENABLED="$2" "${GO:-go}" build "$3" -o "bin/$1" "$4"
}
if command -v "${GO:-go}" >/dev/null; then
	build waits 0 -buildmode=exe .
	build waits_pie 0 -buildmode=pie .
	build waits_cgo 1 -buildmode=exe .
	if [ -d "$debian/src/google.golang.org/grpc" ]; then
		build rpc 0 -buildmode=exe ./rpc
	fi
fi
echo "setup ok: w62_go_netpoll"
