#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O1 -g -Wall -pthread -o bin/twins twins.c
echo "setup ok: w72_twins_cpu"
