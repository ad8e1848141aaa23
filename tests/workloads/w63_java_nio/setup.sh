#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p truth bin
. ./common.sh
command -v javac >/dev/null || { echo "no javac" >&2; exit 3; }
[ -e /usr/share/java/netty-transport.jar ] || { echo "no netty (libnetty-java)" >&2; exit 3; }
[ bin/Client.class -nt src/Client.java ] && [ bin/Server.class -nt src/Server.java ] && [ bin/Common.class -nt src/Common.java ] ||
  javac -nowarn -cp "$netty" -d bin src/*.java
echo "setup ok: w63_java_nio"
