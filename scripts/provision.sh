#!/usr/bin/env bash
# What the README asks of a user, on a fresh Debian: git and make, then the commands.
#   scripts/provision.sh [CHECKOUT]     as a user who may sudo, or as root; CHECKOUT: by default, here
set -euo pipefail
cd "${1:-.}"

if ! command -v git >/dev/null || ! command -v make >/dev/null; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq git make
fi

make lab
make test
make test-measured
