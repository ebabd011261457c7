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
203.0.113.130 or 198.51.100.130, behind .129. With `routers=5` there are five more routers on the
way from the internet to nat_b, hop_1 to hop_5, with links from 198.18.1.0/30 on. With `turn=1` there
is a node turn behind the internet router, 192.0.2.254: room for a TURN server.

Every link is point to point, so that the lab needs no bridge, no Open vSwitch, no controller. The
nodes configure themselves, also under plain Mininet (as root, from the root of this repository):

    mn --custom topologies/two_nats.py --topo two_nats,nat_a=symmetric,nat_b=full-cone
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nat_traversal.errors import UsageError
from natlab.nat.ruleset import Firewall
from natlab.network import addressing
from natlab.network.base import LabTopo, check_turn, made_by
from natlab.network.network import Network, standing
from natlab.presets import preset

MOST_ROUTERS = 30
_BLOCK_B = "198.51.100.0/24"
_BEFORE, _NEXT = "198.18.{}.1", "198.18.{}.2"
"""The ends of the link before each further router."""


class TwoNats(LabTopo):
    """`nat_a` and `nat_b` are preset names, `routers` is 0 to 30, `turn` 0 or 1. Raises `UsageError` for any other."""

    def build(
        self,
        nat_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
        routers: int = 0,
        turn: int = 0,
    ) -> None:
        if not 0 <= routers <= MOST_ROUTERS:
            raise UsageError(f"routers={routers}: give 0 to {MOST_ROUTERS}")
        check_turn(turn)
        near, far = addressing.side("a", preset(nat_a)), addressing.side("b", preset(nat_b))
        ends = {"internet-a": [str(near.router)], "internet-b": [str(_end(far, 0, routers))]}
        if turn:
            ends["internet-t"] = [str(addressing.TURN_ROUTER)]
        routes = [
            *_inside(near),
            *([f"{_BLOCK_B} via {_NEXT.format(1)}"] if routers else _inside(far)),
        ]
        self.add_internet(ends, routes)
        if turn:
            self.add_turn("internet-t")
        for hop in range(1, routers + 1):
            last = hop == routers
            self.add_router(
                f"hop_{hop}",
                {
                    f"hop_{hop}-in": [f"{_NEXT.format(hop)}/30"],
                    f"hop_{hop}-b": [_end(far, hop, routers)],
                },
                [
                    f"default via {_BEFORE.format(hop)}",
                    *(_inside(far) if last else [f"{_BLOCK_B} via {_NEXT.format(hop + 1)}"]),
                ],
            )
            self.join(f"hop_{hop - 1}-b" if hop > 1 else "internet-b", f"hop_{hop}-in")
        self._add_side(near, "internet-a")
        self._add_side(far, f"hop_{routers}-b" if routers else "internet-b")

    def _add_side(self, side: addressing.SideAddresses, router: str) -> None:
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
        self.join(side.ports.wan, router)


def _inside(side: addressing.SideAddresses) -> list[str]:
    """The route to the public block behind a plain router; none where there is a NAT."""
    return [] if side.preset.behavior else [f"{side.host.network} via {side.wan.ip}"]


def _end(side: addressing.SideAddresses, hop: int, routers: int) -> str:
    """The address of router number `hop`, the internet being 0, on its link towards `side`."""
    return str(side.router) if hop == routers else f"{_BEFORE.format(hop + 1)}/30"


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
