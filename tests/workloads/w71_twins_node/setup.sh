#!/bin/sh
# The services are those of w70_twins.
set -e
cd "$(dirname "$0")"
../w70_twins/setup.sh >/dev/null
mkdir -p truth
echo "setup ok: w71_twins_node"
