#!/usr/bin/env bash
# Installs what a make target needs and this machine lacks: Debian packages, then .venv.
#   scripts/setup.sh check|lab|test|bench|all     once set up, it only looks (no apt, no pip)
#   scripts/setup.sh scoreboard                   the programs that others made; `all` leaves them out
#   scripts/setup.sh packages TARGET               names the Debian packages of a target, for the container
#   scripts/setup.sh --install PACKAGE...         the part that needs root; called by the first form
# EXTRA=lab leaves out the Python packages that only tests and checks need.
# PYTHON names the interpreter to make .venv with. By default that is an active environment's, then the system's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where Debian keeps iptables and dnsmasq, but no user's PATH

# program              its Debian package    the targets that start it
programs='
  unshare              util-linux            lab test bench scoreboard
  setpriv              util-linux            lab test bench scoreboard
  ip                   iproute2              lab test bench scoreboard
  mnexec               mininet               lab test bench scoreboard
  iptables-restore     iptables              lab test bench scoreboard
  nft                  nftables              lab test bench scoreboard
  ipset                ipset                 lab test bench scoreboard
  dnsmasq              dnsmasq-base          lab test bench scoreboard
  dig                  bind9-dnsutils        lab test bench scoreboard
  turnserver           coturn                test scoreboard
  turnutils_natdiscovery coturn              test
  miniupnpd            miniupnpd-nftables    test
  stun                 stun-client           test
  stund                stun-server           test
  tshark               tshark                test
  ping                 iputils-ping          test
  conntrack            conntrack             test
  iperf3               iperf3                test bench
  wireguard-go         wireguard-go          test bench
  wg                   wireguard-tools       test bench
  socat                socat                 test bench
  systemd-analyze      systemd               test
  redis-server         redis-server          test
  chromium             chromium              test
  tayga                tayga                 test
  unbound              unbound               test
  /usr/lib/python3/dist-packages/cryptography python3-cryptography test
  node                 nodejs                scoreboard
  npm                  npm                   scoreboard
  supernode            n2n                   scoreboard
  nebula               nebula                scoreboard
  tincd                tinc                  scoreboard
  ifconfig             net-tools             scoreboard
  /usr/share/doc/python3-gi python3-gi       scoreboard
  /usr/share/doc/gir1.2-nice-0.1 gir1.2-nice-0.1 scoreboard
'
# mininet: only its mnexec binary is used; PyPI's package has no source of it. Without Recommends, so
# without Open vSwitch and its daemons, it and what it depends on are 1.5 MB to fetch and start nothing.

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# package=service: a public server that the package would start now and at every boot
services='coturn=coturn stun-server=stun redis-server=redis-server n2n=n2n tinc=tinc tayga=tayga unbound=unbound'

# Runs as root.
install_packages() {
  local entry service new=()
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    # Debian asks this file before it starts a service. Should a kill leave it behind, it says yes.
    printf '#!/bin/sh\n[ -d /proc/%d ] && exit 101\nexit 0\n' $$ >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT HUP TERM
  fi
  for entry in $services; do
    service=${entry#*=}
    [ -e "/lib/systemd/system/$service.service" ] || [ -e "/etc/init.d/$service" ] || new+=("$service")
  done
  export DEBIAN_FRONTEND=noninteractive # tshark would ask who may capture; its default is root only
  apt-get update -qq || say "apt-get update failed: going on with the package lists there are"
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
  for service in "${new[@]}"; do
    [ ! -e "/etc/init.d/$service" ] || update-rc.d "$service" disable
  done
}

# sudo may ask for a password only where somebody can answer
may_install() {
  command -v apt-get >/dev/null || return
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }
}

get_packages() {
  local as_root=() manual="sudo apt-get install --no-install-recommends $*" entry unwanted=
  for entry in $services; do
    [[ " $* " != *" ${entry%=*} "* ]] || unwanted+=" ${entry#*=}"
  done
  manual+=${unwanted:+" && sudo systemctl disable --now$unwanted"}
  command -v apt-get >/dev/null || die "this machine has no apt-get: install what Debian calls $*"
  may_install || die "run this, then make again: $manual"
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  say "installing $*"
  "${as_root[@]}" bash scripts/setup.sh --install "$@" >&2 || die "apt-get failed; by hand: $manual"
}

missing_packages() {
  local program package targets
  while read -r program package targets; do
    [ -n "$program" ] || continue
    [[ " $targets " == *" $target "* ]] || { [ "$target" = all ] && [ "$targets" != scoreboard ]; } || continue
    command -v "$program" >/dev/null || [ -e "$program" ] || echo "$package"
  done <<<"$programs" | sort -u
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

has_pip() { "$1" -c 'import ensurepip' 2>/dev/null; }

# The system's own Python is the one that deployed servers run on, and distributions build it for speed. Others in PATH come
# after it, unless somebody chose one: by a venv or conda that is active, or in pyenv for this shell or this checkout.
find_python() {
  local candidate candidates=(/usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11) found=
  if [ -n "${PYTHON:-}" ]; then
    candidates=("$PYTHON")
  elif [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}${PYENV_VERSION:-}" ] || [ -e .python-version ]; then
    candidates=(python3 "${candidates[@]}")
  fi
  for candidate in "${candidates[@]}"; do
    new_enough "$candidate" || continue
    found=${found:-$candidate}
    if has_pip "$candidate" || { [ "$candidate" = /usr/bin/python3 ] && may_install; }; then
      found=$candidate
      break
    fi
  done
  echo "$found"
}

# Debian keeps ensurepip, without which there is no pip in a venv, in a package of its own.
venv_package() {
  if [ -z "$python" ]; then
    if [ -n "${PYTHON:-}" ] || command -v python3 >/dev/null; then
      die "Python 3.11 or newer is needed, but ${PYTHON:-python3} is $("${PYTHON:-python3}" -V 2>&1 | tail -1): install a newer one and name it, as in: make PYTHON=/path/to/python3.13"
    fi
    echo python3-venv
  elif ! has_pip "$python"; then
    "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
  fi
}

# One that is there stays, if no Python is named: whatever it was made with was once chosen.
stays() { [ -z "${PYTHON:-}" ] && new_enough .venv/bin/python && .venv/bin/python -c 'import pip' 2>/dev/null; }

make_venv() {
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet) named=${made[1]:-}
  if ! stays; then
    python=${python:-$(find_python)}
    named=${PYTHON:-}
    say "making .venv with $("$python" -V), $(command -v "$python")$([ -n "$named" ] || echo '; another: make PYTHON=/path/to/python3')"
    "$python" -m venv --clear .venv
  fi
  say "installing the pinned Python packages"
  # setuptools by itself and no build isolation: else pip would build with an unpinned one
  "${pip[@]}" install --constraint constraints.txt setuptools
  "${pip[@]}" install --constraint constraints.txt --no-build-isolation --editable ".[${EXTRA:-dev}]"
  printf '%s\n' "$key" "$named" >.venv/set-up
}

ready() { [ "${made[0]:-}" = "$key" ] && { [ -z "${PYTHON:-}" ] || [ "$PYTHON" = "${made[1]:-}" ]; } && new_enough .venv/bin/python; }

if [ "${1:-}" = --install ]; then
  shift
  install_packages "$@"
  exit
fi
if [ "${1:-}" = packages ]; then
  target=${2:-lab}
  awk -v target="$target" 'NF > 2 { for (i = 3; i <= NF; i++) if ($i == target) print $2 }' <<<"$programs" | sort -u
  exit
fi
target=${1:-}
case $target in check | lab | test | bench | scoreboard | all) ;; *) die "usage: scripts/setup.sh check|lab|test|bench|scoreboard|all" ;; esac

# A moved checkout needs a new .venv too: the paths in it are absolute.
key=$(cat pyproject.toml constraints.txt scripts/setup.sh - <<<"$PWD ${EXTRA:-}" | sha256sum)
made=() # with which key, and with which Python if one was named
[ ! -e .venv/set-up ] || mapfile -t made <.venv/set-up
wanted=$(missing_packages)
python=
if ! ready && ! stays; then
  python=$(find_python)
  wanted+=" $(venv_package)"
fi
read -ra packages <<<"${wanted//$'\n'/ }"
if [ "${#packages[@]}" != 0 ]; then
  get_packages "${packages[@]}"
  wanted=$(missing_packages)
  [ -z "$wanted" ] || die "installed, but its programs are not on PATH: ${wanted//$'\n'/ }"
fi
ready || make_venv
