#!/bin/sh
# The services are those of w70_twins. Without javac there is no program: the test says so.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
../w70_twins/setup.sh >/dev/null
if command -v javac >/dev/null; then
	[ bin/Twins.class -nt Twins.java ] || javac -d bin Twins.java
fi
echo "setup ok: w69_twins_java"
