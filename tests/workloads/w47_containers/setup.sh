#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin/shop truth
gcc -O2 -g -fomit-frame-pointer -Wall -o bin/shop/depot depot.c
cp shop.py serve.py selftime.py bin/shop/
echo "setup ok: w47_containers"
