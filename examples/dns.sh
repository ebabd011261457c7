#!/bin/sh
# dnsmasq on the public server, asked by dig from behind two NATs: what `lab run` does with any commands.
#   sh examples/dns.sh [NAT_A NAT_B]      PYTHON names the interpreter (default: .venv/bin/python)
cd "$(dirname "$0")/.." || exit
exec "${PYTHON:-.venv/bin/python}" -m lab run --nat-a "${1:-symmetric}" --nat-b "${2:-full-cone}" \
  --report "${REPORT:-lab-report/dns}" \
  --server 'dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --pid-file= --txt-record=where.lab,server --log-queries' \
  --ready udp:53 \
  --a 'dig @$LAB_SERVER +short where.lab TXT' \
  --b 'dig @$LAB_SERVER +short where.lab TXT'
