#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
"${WL_PYTHON:-python3}" -c "import sqlite3"
echo "setup ok: w34_sqlite"
