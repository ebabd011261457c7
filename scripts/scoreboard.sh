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
key_file=$home/nat_traversal.key
(umask 077 && .venv/bin/python -m nat_traversal genkey >"$key_file")
# Keys of a network that exists in the lab only.
keys=$home/nebula
rm -rf "$keys"
mkdir "$keys"
try nebula-cert ca -name lab -duration 87600h -out-crt "$keys/ca.crt" -out-key "$keys/ca.key"
for host in a/1 b/2 lighthouse/3; do
  try nebula-cert sign -ca-crt "$keys/ca.crt" -ca-key "$keys/ca.key" -name "${host%/*}" -ip "10.99.0.${host#*/}/24" \
    -out-crt "$keys/${host%/*}.crt" -out-key "$keys/${host%/*}.key"
done
rm -rf "$home/tinc"
for host in a b server; do
  mkdir -p "$home/tinc/$host/hosts"
  echo "Name = $host" >"$home/tinc/$host/tinc.conf"
  try tincd --config "$home/tinc/$host" --generate-keys=2048 </dev/null
done
[ "$complete" = no ] || echo "$key" >"$home/set-up"
