#!/bin/sh
# Without OpenSSL's static library (libssl-dev) there is no client: the test says so.
cd "$(dirname "$0")" || exit 1
mkdir -p bin
[ bin/client -nt client.c ] ||
	cc -O2 -o bin/client client.c -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -ldl -lpthread || rm -f bin/client
echo "setup ok: w67_static_ssl"
