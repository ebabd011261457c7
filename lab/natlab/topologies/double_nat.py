"""Carrier-grade NAT on both sides: each home's NAT is behind its carrier's (RFC 6888).

                              server  192.0.2.2, 192.0.2.3
                                |
      203.0.113.0/25         internet         198.51.100.0/25
             .2 ---------- .1        .1 ---------- .2
             |                                      |
           cgn_a  100.64.1.1            100.64.2.1  cgn_b
             |                                      |
             |   100.64.1.2              100.64.2.2 |
           nat_a  10.0.1.1                10.0.2.1  nat_b
             |                                      |
           host_a 10.0.1.2                10.0.2.2  host_b

Between the two NATs of a side is the shared address space of RFC 6598. A peer meets the
stricter of the two in each respect.

    mn --custom topologies/double_nat.py --topo double_nat,cgn_a=symmetric
"""

from __future__ import annotations

from natlab.network.base import HOME_A, HOME_B, Home, LabTopo


class DoubleNat(LabTopo):
    """All four are preset names: the homes' NATs and their carriers'."""

    def build(
        self,
        nat_a: str = "port-restricted-cone",
        cgn_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
        cgn_b: str = "port-restricted-cone",
    ) -> None:
        self.add_internet(
            {"internet-a": [f"{HOME_A.gateway}/25"], "internet-b": [f"{HOME_B.gateway}/25"]}
        )
        for letter, outside, nat, cgn in (("a", HOME_A, nat_a, cgn_a), ("b", HOME_B, nat_b, cgn_b)):
            block = f"100.64.{outside.number}"
            home = Home(outside.nat, outside.hosts, outside.number, f"{block}.2/24", f"{block}.1")
            self.add_carrier(f"cgn_{letter}", cgn, f"{block}.1/24", [home], outside)
            self.add_home(home, nat)
            for route in home.public_route(nat):
                self.add_route(f"cgn_{letter}", route)
            self.join(f"{home.nat}-wan", f"cgn_{letter}-lan")
            self.join(f"cgn_{letter}-wan", f"internet-{letter}")


topos = {"double_nat": DoubleNat}
