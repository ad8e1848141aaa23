#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -pthread -o bin/scarce scarce.c
echo "setup ok: w84_scarce"
