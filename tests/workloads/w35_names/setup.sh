#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
"${WL_PYTHON:-python3}" -c "import socket"
echo "setup ok: w35_names"
