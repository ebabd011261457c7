r"""Two homes and the server, each in a region of the internet, with long links between the regions.

                   server  192.0.2.2, 192.0.2.3
                     |
                 internet_s
        198.18.202.0/30 /      \ 198.18.203.0/30
                 internet_a ---- internet_b
                  .1 |  198.18.201.0/30 | .1
      203.0.113.0/25 |                  | 198.51.100.0/25
                  .2 |                  | .2
                   nat_a              nat_b
          10.0.1.1   |                  |   10.0.2.1
                   host_a             host_b

Each link between two regions takes its delay one way, and can be cut and healed: nothing finds another
way around it, as when two carriers no longer exchange routes.

    mn --custom topologies/regions.py --topo regions,nat_a=symmetric
"""

from __future__ import annotations

from nat_traversal.arguments.durations import parse_duration
from natlab.network import addressing
from natlab.network.base import HOME_A, HOME_B, Home, LabTopo, check_turn

_LINKS = {("a", "b"): "198.18.201", ("a", "s"): "198.18.202", ("b", "s"): "198.18.203"}
_SERVERS = "192.0.2.0/24"


class Regions(LabTopo):
    """`nat_a` and `nat_b` are preset names; the delays are of a link each, one way, as ``40ms``. `turn` is as in
    `two_nats`, in the server's region."""

    def build(
        self,
        nat_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
        a_b: str = "40ms",
        a_s: str = "20ms",
        b_s: str = "20ms",
        *,
        turn: int = 0,
    ) -> None:
        check_turn(turn)
        homes = {"a": (HOME_A, nat_a), "b": (HOME_B, nat_b)}
        uplinks = {
            "a": [f"{HOME_A.gateway}/25"],
            "b": [f"{HOME_B.gateway}/25"],
            "s": [str(addressing.SERVER_ROUTER)],
        }
        for region, addresses in uplinks.items():
            beside = (
                {"internet_s-t": [str(addressing.TURN_ROUTER)]} if turn and region == "s" else {}
            )
            self.add_router(
                f"internet_{region}",
                {
                    f"internet_{region}-in": addresses,
                    **beside,
                    **{
                        f"internet_{region}-{other}": [f"{_end(region, other)}/30"]
                        for other in uplinks
                        if other != region
                    },
                },
                [
                    f"{network} via {_end(other, region)}"
                    for other in uplinks
                    if other != region
                    for network in _networks(other, homes)
                ],
            )
        for region, (home, nat) in homes.items():
            for route in home.public_route(nat):
                self.add_route(f"internet_{region}", route)
            self.add_home(home, nat)
            self.join(f"nat_{region}-wan", f"internet_{region}-in")
        self.add_server(
            {"server-eth0": [str(addressing.SERVER), str(addressing.SERVER_SECOND)]},
            [f"default via {addressing.SERVER_ROUTER.ip}"],
        )
        self.join("server-eth0", "internet_s-in")
        if turn:
            self.add_turn("internet_s-t")
        for (one, other), text in zip(_LINKS, (a_b, a_s, b_s), strict=True):
            self.join(f"internet_{one}-{other}", f"internet_{other}-{one}")
            self.delays[f"internet_{one}", f"internet_{other}"] = parse_duration(text, most=10)


def _end(region: str, other: str) -> str:
    """The address of a region's end of its link to another."""
    first, second = sorted((region, other))
    return f"{_LINKS[first, second]}.{1 if region == first else 2}"


def _networks(region: str, homes: dict[str, tuple[Home, str]]) -> list[str]:
    """All that is in a region."""
    if region not in homes:
        return [_SERVERS]
    home, nat = homes[region]
    inside = [route.partition(" ")[0] for route in home.public_route(nat)]
    return [f"{home.gateway.rpartition('.')[0]}.0/24", *inside]


topos = {"regions": Regions}
