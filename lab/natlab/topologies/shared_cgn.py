"""Two homes behind one carrier-grade NAT, and a public host outside it (RFC 6888).

                              server  192.0.2.2, 192.0.2.3
                                |
      203.0.113.0/25         internet         198.51.100.0/25
             .2 ---------- .1        .1 ---------- .2  host_c
             |
            cgn  100.64.1.1
          ___|__________
         |              |
    100.64.1.2      100.64.1.3
       nat_a          nat_b
      10.0.1.1       10.0.2.1
         |              |
       host_a         host_b
      10.0.1.2       10.0.2.2

The homes know each other only by their addresses outside the carrier's NAT. So they reach each
other only if it hairpins, which RFC 4787 REQ-9 and RFC 6888 REQ-1 ask of it.

    mn --custom topologies/shared_cgn.py --topo shared_cgn,nat_a=full-cone
"""

from __future__ import annotations

from natlab.network.base import HOME_A, HOME_B, Home, LabTopo


class SharedCgn(LabTopo):
    """All three are preset names: the homes' NATs and their carrier's."""

    def build(
        self,
        nat_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
        cgn: str = "port-restricted-cone",
    ) -> None:
        homes = [
            Home(outside.nat, outside.hosts, outside.number, f"100.64.1.{last}/24", "100.64.1.1")
            for last, outside in ((2, HOME_A), (3, HOME_B))
        ]
        self.add_internet(
            {"internet-a": [f"{HOME_A.gateway}/25"], "internet-b": [f"{HOME_B.gateway}/25"]}
        )
        self.add_carrier("cgn", cgn, "100.64.1.1/24", homes, HOME_A)
        self.join("cgn-wan", "internet-a")
        for number, (home, nat) in enumerate(zip(homes, (nat_a, nat_b), strict=True), 1):
            self.add_home(home, nat)
            self.join(f"{home.nat}-wan", f"cgn-lan{number}")
            for route in home.public_route(nat):
                self.add_route("cgn", route)
        self.add_host("host_c", {"host_c-eth0": [HOME_B.wan]}, [f"default via {HOME_B.gateway}"])
        self.join("host_c-eth0", "internet-b")


topos = {"shared_cgn": SharedCgn}
