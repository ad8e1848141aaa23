#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -pthread -o bin/locks locks.c
echo "setup ok: w55_locks"
