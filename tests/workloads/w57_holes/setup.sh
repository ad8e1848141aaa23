#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -pthread -o bin/holes holes.c
echo "setup ok: w57_holes"
