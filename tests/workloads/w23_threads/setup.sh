#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -pthread -o bin/threads threads.c
echo "setup ok: w23_threads"
