#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
echo "setup ok: w76_twins_files"
