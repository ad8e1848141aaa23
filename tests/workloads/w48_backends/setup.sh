#!/bin/sh
# Clients and clusters are those of w33_databases.
set -e
cd "$(dirname "$0")"
sh ../w33_databases/setup.sh >/dev/null
mkdir -p truth
echo "setup ok: w48_backends"
