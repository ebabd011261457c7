#!/usr/bin/env bash
# Installs the scoreboard's rivals from PyPI and npm into .make/scoreboard, and nowhere else; once
# they are there it only looks. Those from Debian come by scripts/setup.sh scoreboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
home=.make/scoreboard
key=$(cat scoreboard/requirements.txt scoreboard/package.json scripts/scoreboard.sh - <<<"$PWD" | sha256sum)
[ "$(cat "$home/set-up" 2>/dev/null)" != "$key" ] || exit 0

say() { printf 'scoreboard: %s\n' "$*" >&2; }
# One that cannot be had is missing in the table, with the reason, and stops nobody else.
try() { "$@" >&2 || { say "could not do: $*"; complete=no; }; }

complete=yes
mkdir -p "$home"
say "installing rivals from PyPI and npm"
try .venv/bin/python -m venv "$home/venv"
try "$home/venv/bin/python" -m pip --disable-pip-version-check --quiet install --requirement scoreboard/requirements.txt
cp scoreboard/package.json "$home/package.json"
try npm install --prefix "$home" --no-audit --no-fund --loglevel error
[ "$complete" = no ] || echo "$key" >"$home/set-up"
