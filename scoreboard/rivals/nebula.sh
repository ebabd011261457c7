#!/bin/sh
# nebula: a virtual network with a lighthouse, which may be a relay too. nebula.sh lighthouse|a|b relay|direct
# All that is not here is as in the example configuration of its package.
set -eu
respond=
[ "$2" = direct ] || respond=", respond: true"
keys=$(dirname "$0")/../../.make/scoreboard/nebula
case $1 in
lighthouse) is_lighthouse=true hosts='[]' relays='' static='{}' port=4242 am_relay=false
  [ "$2" = direct ] || am_relay=true ;;
*)
  is_lighthouse=false hosts='["10.99.0.3"]' port=0 am_relay=false
  relays=''
  [ "$2" = direct ] || relays='relays: ["10.99.0.3"]'
  static="{\"10.99.0.3\": [\"$LAB_SERVER:4242\"]}"
  # Until the tunnel is there, nothing for it may leave through the NAT.
  ip route add unreachable 10.99.0.0/24 metric 4000
  ;;
esac
cat >/tmp/nebula.yml <<END
pki: {ca: "$keys/ca.crt", cert: "$keys/$1.crt", key: "$keys/$1.key"}
static_host_map: $static
lighthouse: {am_lighthouse: $is_lighthouse, interval: 60, hosts: $hosts}
listen: {host: 0.0.0.0, port: $port}
punchy: {punch: true$respond}
relay:
  am_relay: $am_relay
  use_relays: true
  $relays
tun: {disabled: false, dev: nebula1, drop_local_broadcast: false, drop_multicast: false, tx_queue: 500, mtu: 1300}
logging: {level: info, format: text}
firewall:
  conntrack: {tcp_timeout: 12m, udp_timeout: 3m, default_timeout: 10m}
  outbound: [{port: any, proto: any, host: any}]
  inbound: [{port: any, proto: any, host: any}]
END
exec nebula -config /tmp/nebula.yml
