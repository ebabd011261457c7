"""A host behind a NAT, and one that is on the internet itself.

                          server  192.0.2.2, 192.0.2.3
                            |
  203.0.113.0/25         internet         198.51.100.0/25
         .2 ---------- .1        .1 ---------- .2  host_b
         |
       nat_a  10.0.1.1
         |
       host_a 10.0.1.2

mn --custom topologies/public_peer.py --topo public_peer,nat_a=symmetric
"""

from __future__ import annotations

from natlab.network.base import HOME_A, HOME_B, LabTopo


class PublicPeer(LabTopo):
    """`nat_a` is a preset name."""

    def build(self, nat_a: str = "port-restricted-cone") -> None:
        self.add_internet(
            {"internet-a": [f"{HOME_A.gateway}/25"], "internet-b": [f"{HOME_B.gateway}/25"]},
            HOME_A.public_route(nat_a),
        )
        self.add_home(HOME_A, nat_a)
        self.add_host("host_b", {"host_b-eth0": [HOME_B.wan]}, [f"default via {HOME_B.gateway}"])
        self.join("nat_a-wan", "internet-a")
        self.join("host_b-eth0", "internet-b")


topos = {"public_peer": PublicPeer}
