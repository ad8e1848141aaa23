#!/bin/sh
cd "$(dirname "$0")"; mkdir -p truth; echo "setup ok: w88_backends"
