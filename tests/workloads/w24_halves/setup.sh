#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -Wno-unused-function -o bin/halves halves.c
echo "setup ok: w24_halves"
