#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
echo "setup ok: w46_services"
