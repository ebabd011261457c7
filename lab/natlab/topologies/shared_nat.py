"""Several hosts behind one NAT, and one behind another.

                              server  192.0.2.2, 192.0.2.3
                                |
      203.0.113.0/25         internet         198.51.100.0/25
             .2 ---------- .1        .1 ---------- .2
             |                                      |
           nat_a  10.0.1.1                10.0.2.1  nat_b
          ___|____ ...                              |
         |        |                                 |
      host_a1  host_a2                            host_b
      10.0.1.2 10.0.1.3                          10.0.2.2

The LAN is a bridge in nat_a's own namespace, as in a home router: the hosts reach each other
directly at their LAN addresses, and through the NAT at each other's external ones only if it
hairpins (RFC 4787 section 6).

    mn --custom topologies/shared_nat.py --topo shared_nat,hosts=3,nat_a=symmetric
"""

from __future__ import annotations

from nat_traversal.errors import UsageError
from natlab.network.base import HOME_A, HOME_B, Home, LabTopo


class SharedNat(LabTopo):
    """`hosts` (1 to 99) hosts behind `nat_a`, one behind `nat_b`; both are preset names."""

    def build(
        self,
        hosts: int = 2,
        nat_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
    ) -> None:
        if not (isinstance(hosts, int) and 1 <= hosts <= 99):
            raise UsageError(f"{hosts!r} hosts cannot share a NAT here: give 1 to 99")
        names = [f"host_a{number}" for number in range(1, hosts + 1)]
        shared = Home(HOME_A.nat, names, HOME_A.number, HOME_A.wan, HOME_A.gateway)
        self.add_internet(
            {"internet-a": [f"{HOME_A.gateway}/25"], "internet-b": [f"{HOME_B.gateway}/25"]},
            [*shared.public_route(nat_a), *HOME_B.public_route(nat_b)],
        )
        self.add_home(shared, nat_a)
        self.add_home(HOME_B, nat_b)
        self.join("nat_a-wan", "internet-a")
        self.join("nat_b-wan", "internet-b")


topos = {"shared_nat": SharedNat}
