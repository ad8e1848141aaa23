#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth
command -v node >/dev/null || { echo "no node" >&2; exit 3; }
[ -s cert.pem ] && openssl x509 -checkend 86400 -noout -in cert.pem >/dev/null 2>&1 || openssl req -x509 -newkey rsa:2048 \
  -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
chmod 644 key.pem
echo "setup ok: w64_node_http"
