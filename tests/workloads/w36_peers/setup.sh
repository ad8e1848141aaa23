#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -pthread -Wall -o bin/server server.c
echo "setup ok: w36_peers"
