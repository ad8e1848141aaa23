#!/bin/sh
# Without a compiler of Java there is no program of it: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
if command -v javac >/dev/null; then
	[ bin/Split.class -nt src/Split.java ] || javac -nowarn -d bin src/Split.java
fi
echo "setup ok: w91_splits"
