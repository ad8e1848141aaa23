#!/bin/sh
# The clients in .venv, and a fresh cluster for each server in a directory of its own: servers refuse to be root.
set -e
cd "$(dirname "$0")"
sh ../common/setup_py.sh >/dev/null 2>&1 || true
[ -x .venv/bin/python ] || "${WL_PYTHON:-python3}" -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
mkdir -p truth
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi
}
if [ ! -f .place ] || [ ! -f "$(cat .place)/ready" ]; then
  place=$(mktemp -d /tmp/perfmap-databases.XXXXXX)
  chmod 755 "$place"
  [ "$(id -u)" = 0 ] && chown nobody:nogroup "$place"
  initdb=$(ls /usr/lib/postgresql/*/bin/initdb | tail -1)
  as_server "$initdb" -D "$place/postgres" -A trust -U perfmap --no-sync >/dev/null
  as_server mariadb-install-db --no-defaults --datadir="$place/mariadb" --auth-root-authentication-method=normal \
    --skip-test-db >/dev/null 2>&1
  as_server touch "$place/ready"
  echo "$place" > .place
fi
echo "setup ok: w33_databases"
