#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -fomit-frame-pointer -Wall -Wno-format-truncation -Wno-unused-function -o bin/native_c native.c
rustc -O -g -C force-frame-pointers=no --edition 2021 -o bin/native_rust native.rs
echo "setup ok: w21_native"
