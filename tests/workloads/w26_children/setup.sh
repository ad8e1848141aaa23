#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
for p in storm burn; do gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -Wno-unused-function -o bin/$p $p.c; done
echo "setup ok: w26_children"
