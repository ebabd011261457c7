r"""An IPv6-only home behind a translator and a NAT of IPv4, and an IPv4 home.

                          server  192.0.2.2, 192.0.2.3
                            |
                         internet
          203.0.113.0/25  /    \  198.51.100.0/25
                    .2   /      \   .2
                     nat_a      nat_b
            10.0.1.1   |          |   10.0.2.1
            10.0.1.2   |        host_b  10.0.2.2
                    xlat_a  DNS64 at 2001:db8:a:1::1
                       |
                    host_a  2001:db8:a:1::2

Together xlat_a (RFC 7915: tayga) and nat_a are a stateful NAT64 (RFC 6146) of the behaviour that nat_a has:
host_a is 10.64.1.2 between them, and reaches 192.0.2.2 at 2001:db8:64::192.0.2.2.

    mn --custom topologies/nat64.py --topo nat64,nat_a=symmetric
"""

from __future__ import annotations

from natlab.network.base import HOME_A, HOME_B, LabTopo, router_ports
from natlab.network.translator import Nat64

_HOST, _MAPPED = "2001:db8:a:1::2", "10.64.1.2"


class Nat64Home(LabTopo):
    """`nat_a` and `nat_b` are preset names. nat_a has to translate."""

    def build(
        self, nat_a: str = "port-restricted-cone", nat_b: str = "port-restricted-cone"
    ) -> None:
        self.add_internet(
            {"internet-a": [f"{HOME_A.gateway}/25"], "internet-b": [f"{HOME_B.gateway}/25"]},
            HOME_B.public_route(nat_b),
        )
        self.add_nat(
            "nat_a",
            nat_a,
            router_ports("nat_a-lan", "nat_a-wan", HOME_A.wan, [_MAPPED, "10.0.1.2"]),
            {"nat_a-lan": ["10.0.1.1/24"], "nat_a-wan": [HOME_A.wan]},
            [f"default via {HOME_A.gateway}", "10.64.1.0/24 via 10.0.1.2"],
        )
        self.add_router(
            "xlat_a",
            {"xlat_a-lan": ["2001:db8:a:1::1/64"], "xlat_a-wan": ["10.0.1.2/24"]},
            ["default via 10.0.1.1"],
            nat64=Nat64("2001:db8:a:1::1", "10.64.1.1", ((_MAPPED, _HOST),)),
        )
        self.add_host(
            "host_a",
            {"host_a-eth0": [f"{_HOST}/64"]},
            ["default via 2001:db8:a:1::1"],
            resolver="2001:db8:a:1::1",
        )
        self.add_home(HOME_B, nat_b)
        self.join("host_a-eth0", "xlat_a-lan")
        self.join("xlat_a-wan", "nat_a-lan")
        self.join("nat_a-wan", "internet-a")
        self.join("nat_b-wan", "internet-b")


topos = {"nat64": Nat64Home}
