#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -o bin/throttled throttled.c
echo "setup ok: w56_throttled"
