#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O1 -g -fno-builtin -Wall -pthread -o bin/allocations allocations.c
echo "setup ok: w85_allocations"
