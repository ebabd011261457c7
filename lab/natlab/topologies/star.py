"""N hosts, each behind a NAT of its own, around one internet router.

                 server  192.0.2.2, 192.0.2.3
                   |
                internet  198.18.K.1
        __________|__________ ...
       |           |          |
     nat_1       nat_2      nat_K  198.18.K.2 outside, 10.0.K.1 inside
       |           |          |
     host_1      host_2     host_K  10.0.K.2

mn --custom topologies/star.py --topo star,peers=4,nats=symmetric/full-cone
"""

from __future__ import annotations

from nat_traversal.errors import UsageError
from natlab.network.base import Home, LabTopo


class Star(LabTopo):
    """`peers` (1 to 250) hosts. `nats` are preset names with ``/`` between them, taken in turn."""

    def build(self, peers: int = 3, nats: str = "port-restricted-cone") -> None:
        if not (isinstance(peers, int) and 1 <= peers <= 250):
            raise UsageError(f"{peers!r} peers cannot be around one router: give 1 to 250")
        names = nats.split("/")
        homes = [
            Home(f"nat_{k}", [f"host_{k}"], k, f"198.18.{k}.2/24", f"198.18.{k}.1")
            for k in range(1, peers + 1)
        ]
        kinds = {home.nat: names[at % len(names)] for at, home in enumerate(homes)}
        self.add_internet(
            {f"internet-{home.number}": [f"{home.gateway}/24"] for home in homes},
            [route for home in homes for route in home.public_route(kinds[home.nat])],
        )
        for home in homes:
            self.add_home(home, kinds[home.nat])
            self.join(f"{home.nat}-wan", f"internet-{home.number}")


topos = {"star": Star}
