#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -Wno-unused-function -o bin/storm storm.c
echo "setup ok: w29_storm"
