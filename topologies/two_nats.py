"""Two hosts, each behind a NAT, and a server that both reach through one internet router.

                              server  192.0.2.2, 192.0.2.3
                                |
                                | 192.0.2.1
      203.0.113.0/25         internet         198.51.100.0/25
             .2 ---------- .1        .1 ---------- .2
             |                                      |
           nat_a  10.0.1.1                10.0.2.1  nat_b
             |                                      |
           host_a 10.0.1.2                10.0.2.2  host_b

With `none` instead of a NAT, nat_x is a plain router and host_x has a public address:
203.0.113.130 or 198.51.100.130, behind .129.

Every link is point to point, so that the lab needs no bridge, no Open vSwitch, no controller. The
nodes configure themselves, also under plain Mininet (as root, from the root of this repository):

    mn --custom topologies/two_nats.py --topo two_nats,nat_a=symmetric,nat_b=full-cone
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Interface
from pathlib import Path

from mininet.topo import Topo

# `mn` executes this file without a __file__ and without the repository on its path.
_ROOT = str(Path((lambda: None).__code__.co_filename).resolve().parents[1])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from lab import addressing  # noqa: E402
from lab.rules import RuleSet, rules_for  # noqa: E402
from nat_traversal.behavior import preset  # noqa: E402
from topologies.nodes import LabLink, LabNode  # noqa: E402

_ROUTER = RuleSet(ipset="", iptables="", sysctls=(("net.ipv4.ip_forward", 1),))


class TwoNats(Topo):  # type: ignore[misc]
    """`nat_a` and `nat_b` are preset names. Raises `UsageError` for any other."""

    def build(
        self, nat_a: str = "port-restricted-cone", nat_b: str = "port-restricted-cone"
    ) -> None:
        sides = [addressing.side("a", preset(nat_a)), addressing.side("b", preset(nat_b))]
        router = {f"internet-{side.letter}": [str(side.router)] for side in sides}
        self.addHost(
            "internet",
            cls=LabNode,
            addresses={**router, "internet-s": [str(addressing.SERVER_ROUTER)]},
            # To the public blocks behind plain routers; unused where there is a NAT.
            routes=[
                f"{side.host.network} via {side.wan.ip}"
                for side in sides
                if side.preset.behavior is None
            ],
            rules=_ROUTER,
        )
        for side in sides:
            self._add_side(side)
        server = [str(addressing.SERVER), str(addressing.SERVER_SECOND)]
        self.addHost(
            "server",
            cls=LabNode,
            addresses={"server-eth0": server},
            routes=[f"default via {addressing.SERVER_ROUTER.ip}"],
        )
        self._link(
            ("server", "server-eth0", addressing.SERVER),
            ("internet", "internet-s", addressing.SERVER_ROUTER),
        )

    def _add_side(self, side: addressing.Side) -> None:
        host_interface = f"{side.host_node}-eth0"
        self.addHost(
            side.host_node,
            cls=LabNode,
            addresses={host_interface: [str(side.host)]},
            routes=[f"default via {side.lan.ip}"],
        )
        self.addHost(
            side.nat_node,
            cls=LabNode,
            addresses={side.ports.lan: [str(side.lan)], side.ports.wan: [str(side.wan)]},
            routes=[f"default via {side.router.ip}"],
            rules=rules_for(side.preset, side.ports),
        )
        self._link(
            (side.host_node, host_interface, side.host), (side.nat_node, side.ports.lan, side.lan)
        )
        self._link(
            (side.nat_node, side.ports.wan, side.wan),
            ("internet", f"internet-{side.letter}", side.router),
        )

    def _link(self, *ends: tuple[str, str, IPv4Interface]) -> None:
        (node1, name1, address1), (node2, name2, address2) = ends
        self.addLink(
            node1,
            node2,
            cls=LabLink,
            intfName1=name1,
            intfName2=name2,
            addr1=_mac(address1),
            addr2=_mac(address2),
        )


def _mac(interface: IPv4Interface) -> str:
    """A locally administered MAC address that shows the IPv4 address in a capture."""
    return "02:00:" + interface.ip.packed.hex(":")


topos = {"two_nats": TwoNats}
