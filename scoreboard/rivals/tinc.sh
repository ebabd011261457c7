#!/bin/sh
# tinc: a virtual network whose nodes meet at one of them. tinc.sh server|a|b
set -eu
keys=$(dirname "$0")/../../.make/scoreboard/tinc
mkdir -p /tmp/tinc
cp -r "$keys/$1/." /tmp/tinc
case $1 in
server) number=3 ;;
a) number=1 ;;
b) number=2 ;;
esac
printf 'Name = %s\nInterface = tinc0\n' "$1" >/tmp/tinc/tinc.conf
if [ "$1" = server ]; then
  for host in a b; do cp "$keys/$host/hosts/$host" /tmp/tinc/hosts/; done
else
  echo 'ConnectTo = server' >>/tmp/tinc/tinc.conf
  { echo "Address = $LAB_SERVER" && cat "$keys/server/hosts/server"; } >/tmp/tinc/hosts/server
  # Until the tunnel is there, nothing for it may leave through the NAT.
  ip route add unreachable 10.99.0.0/24 metric 4000
fi
echo "Subnet = 10.99.0.$number/32" >>"/tmp/tinc/hosts/$1"
printf '#!/bin/sh\nip link set tinc0 up\nip address add 10.99.0.%s/24 dev tinc0\n' $number >/tmp/tinc/tinc-up
chmod 755 /tmp/tinc/tinc-up
exec tincd --config /tmp/tinc --pidfile /tmp/tinc/pid --no-detach
