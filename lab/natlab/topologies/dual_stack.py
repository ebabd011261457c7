"""IPv6 with and without NAT: routers that filter it statefully and translate only IPv4, and an IPv6-only host.

                           server  192.0.2.2, 192.0.2.3, 2001:db8:5::2
                             |
                          internet
         ___________________|____________________
        |                    |                    |
      nat_a                nat_b                fw_c
   203.0.113.2          198.51.100.2          (IPv6 only)
   2001:db8:a::2        2001:db8:b::2         2001:db8:c::2
        |                    |                    |
      host_a               host_b               host_c
   10.0.1.2             10.0.2.2
   2001:db8:a:1::2      2001:db8:b:1::2       2001:db8:c:1::2

Towards IPv6 each router is RFC 6092's "simple security": what the inside has not asked for does not
come in, and no address or port changes. `ipv6-adf` and `ipv6-eif` let in more. With `nat66`, `nat66-apdm` or
`nptv6` it translates IPv6 as well, and its inside has fd00:a:1::/64 or fd00:b:1::/64. The latter is
2001:db8:a:cf48::/64 or 2001:db8:b:cf48::/64 outside, as RFC 6296 computes it.

    mn --custom topologies/dual_stack.py --topo dual_stack,nat_a=symmetric
"""

from __future__ import annotations

from nat_traversal.errors import UsageError
from natlab.nat.ipv6 import outer_prefix, stateful_firewall
from natlab.network import addressing
from natlab.network.addressing import SERVER_ROUTER
from natlab.network.base import HOME_A, HOME_B, Home, LabTopo, router_ports
from natlab.presets import preset
from natlab.terms import Ipv6

SERVER_IPV6 = "2001:db8:5::2"


class DualStack(LabTopo):
    """`nat_a` and `nat_b` are the preset names of what the two routers do to IPv4."""

    def build(
        self, nat_a: str = "port-restricted-cone", nat_b: str = "port-restricted-cone"
    ) -> None:
        letters = "abc"
        homes = {"a": (HOME_A, nat_a), "b": (HOME_B, nat_b)}
        uplinks = {f"internet-{x}": [f"2001:db8:{x}::1/64"] for x in letters}
        for x, (home, _) in homes.items():
            uplinks[f"internet-{x}"].insert(0, f"{home.gateway}/25")
        self.add_router(
            "internet",
            {**uplinks, "internet-s": [str(SERVER_ROUTER), "2001:db8:5::1/64"]},
            [
                *(f"2001:db8:{x}:1::/64 via 2001:db8:{x}::2" for x in letters),
                *(
                    f"{outer_prefix(_translated(x), _site(x))} via 2001:db8:{x}::2"
                    for x, (_, nat) in homes.items()
                    if _ipv6(nat) is Ipv6.NPTV6
                ),
                *(route for home, nat in homes.values() for route in home.public_route(nat)),
            ],
        )
        self.add_server(
            {
                "server-eth0": [
                    str(addressing.SERVER),
                    str(addressing.SERVER_SECOND),
                    f"{SERVER_IPV6}/64",
                ]
            },
            [f"default via {SERVER_ROUTER.ip}", "default via 2001:db8:5::1"],
        )
        self.join("server-eth0", "internet-s")
        for x, (home, nat) in homes.items():
            self._add_dual_home(x, home, nat)
        self.add_router(
            "fw_c",
            {"fw_c-lan": ["2001:db8:c:1::1/64"], "fw_c-wan": ["2001:db8:c::2/64"]},
            ["default via 2001:db8:c::1"],
            firewall=stateful_firewall("fw_c-wan"),
        )
        self.add_host(
            "host_c", {"host_c-eth0": ["2001:db8:c:1::2/64"]}, ["default via 2001:db8:c:1::1"]
        )
        self.join("host_c-eth0", "fw_c-lan")
        self.join("fw_c-wan", "internet-c")

    def _add_dual_home(self, x: str, home: Home, nat: str) -> None:
        lan, wan, eth0 = f"{home.nat}-lan", f"{home.nat}-wan", f"host_{x}-eth0"
        network = home.lan_network(nat)
        translates = _ipv6(nat) is not Ipv6.FIREWALL
        prefix = _translated(x) if translates else f"2001:db8:{x}:1::/64"
        inside = prefix.removesuffix("/64")
        self.add_nat(
            home.nat,
            nat,
            router_ports(lan, wan, home.wan, [str(network[2])]),
            {
                lan: [f"{network[1]}/24", f"{inside}1/64"],
                wan: [home.wan, f"2001:db8:{x}::2/64"],
            },
            [f"default via {home.gateway}", f"default via 2001:db8:{x}::1"],
            firewall=stateful_firewall(
                wan, preset(nat).behavior, prefix, outer_prefix(prefix, _site(x))
            ),
        )
        self.add_host(
            f"host_{x}",
            {eth0: [f"{network[2]}/24", f"{inside}2/64"]},
            [f"default via {network[1]}", f"default via {inside}1"],
        )
        self.join(eth0, lan)
        self.join(wan, f"internet-{x}")


def _ipv6(nat: str) -> Ipv6:
    behavior = preset(nat).behavior
    if behavior and behavior.ipv6 is Ipv6.NAT64:
        raise UsageError(f"{nat}: hosts have IPv4 here; nat64 is for the topology nat64")
    return behavior.ipv6 if behavior else Ipv6.FIREWALL


def _translated(x: str) -> str:
    """The inside prefix of a router that translates."""
    return f"fd00:{x}:1::/64"


def _site(x: str) -> str:
    return f"2001:db8:{x}::/48"


topos = {"dual_stack": DualStack}
