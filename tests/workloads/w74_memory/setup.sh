#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
"${WL_PYTHON:-python3}" -c "import threading"
echo "setup ok: w74_memory"
