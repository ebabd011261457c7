#!/bin/sh
# n2n: a virtual Ethernet between edges, which meet through a supernode. n2n.sh supernode|a|b
set -eu
case $1 in
supernode) exec supernode -l 7654 ;;
a) address=10.99.0.1 ;;
b) address=10.99.0.2 ;;
esac
# Until the tunnel is there, nothing for it may leave through the NAT.
ip route add unreachable 10.99.0.0/24 metric 4000
exec edge -d n2n0 -a $address -c lab -k secret -u 0 -g 0 -l "$LAB_SERVER:7654"
