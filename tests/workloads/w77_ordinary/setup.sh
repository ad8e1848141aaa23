#!/bin/sh
# Libraries into .venv; what takes long the first time is done once: Go's standard library, a repository to clone.
set -e
cd "$(dirname "$0")"
mkdir -p bin truth
[ -x .venv/bin/python ] || "${WL_PYTHON:-python3}" -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt || {
	echo "hint: pip could not bring the libraries of requirements.txt: is its index reachable (pip config list, PIP_INDEX_URL)?" >&2
	exit 1
}
if command -v "${GO:-go}" >/dev/null; then
	(cd gomod && GOCACHE="$PWD/../bin/go" GOFLAGS=-mod=mod GOPROXY=off CGO_ENABLED=0 "${GO:-go}" test ./... >/dev/null)
fi
if [ ! -e bin/repository/made ]; then
	rm -rf bin/repository
	git init -q bin/repository
	cd bin/repository
	git config user.name Ordinary
	git config user.email ordinary@example.org
	for commit in 1 2 3 4 5 6 7 8; do
		mkdir -p "part$commit"
		for file in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			seq "$commit$file" "$((commit * 1000 + file))" >"part$commit/file$file.txt"
		done
		git add -A
		git commit -q -m "Part $commit"
	done
	echo yes >made
fi
echo "setup ok: w77_ordinary"
