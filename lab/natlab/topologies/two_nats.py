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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from natlab.nat.ruleset import Firewall
from natlab.network import addressing
from natlab.network.base import LabTopo, made_by
from natlab.network.network import Network, standing
from natlab.presets import preset


class TwoNats(LabTopo):
    """`nat_a` and `nat_b` are preset names. Raises `UsageError` for any other."""

    def build(
        self, nat_a: str = "port-restricted-cone", nat_b: str = "port-restricted-cone"
    ) -> None:
        sides = [addressing.side("a", preset(nat_a)), addressing.side("b", preset(nat_b))]
        self.add_internet(
            {f"internet-{side.letter}": [str(side.router)] for side in sides},
            # To the public blocks behind plain routers; unused where there is a NAT.
            [
                f"{side.host.network} via {side.wan.ip}"
                for side in sides
                if side.preset.behavior is None
            ],
        )
        for side in sides:
            self._add_side(side)

    def _add_side(self, side: addressing.SideAddresses) -> None:
        host_interface = f"{side.host_node}-eth0"
        self.add_host(
            side.host_node, {host_interface: [str(side.host)]}, [f"default via {side.lan.ip}"]
        )
        self.add_nat(
            side.nat_node,
            side.preset.name,
            side.ports,
            {side.ports.lan: [str(side.lan)], side.ports.wan: [str(side.wan)]},
            [f"default via {side.router.ip}"],
        )
        self.join(host_interface, side.ports.lan)
        self.join(side.ports.wan, f"internet-{side.letter}")


@dataclass(frozen=True, slots=True)
class TwoNatsNetwork(Network):
    """The standing `two_nats`, with its two sides."""

    side_a: addressing.SideAddresses
    side_b: addressing.SideAddresses


@contextmanager
def two_nats_network(
    nat_a: str, nat_b: str, firewall: Firewall = Firewall.NFTABLES
) -> Iterator[TwoNatsNetwork]:
    """`standing` for `two_nats` with two presets by name, whose rules `firewall` loads.

    Raises `UsageError` for an unknown one, and for one that `firewall` cannot make.
    """
    sides = [addressing.side("a", preset(nat_a)), addressing.side("b", preset(nat_b))]
    with standing(made_by(TwoNats(nat_a=nat_a, nat_b=nat_b), firewall)) as network:
        yield TwoNatsNetwork(network.mininet, *sides)


topos = {"two_nats": TwoNats}
