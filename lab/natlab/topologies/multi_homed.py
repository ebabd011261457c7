"""A host with Wi-Fi and cellular, each with a NAT of its own.

                              server  192.0.2.2, 192.0.2.3
                                |
      203.0.113.0/25         internet             198.51.100.0/25
             .2 ---------- .1  |  .1 -------------- .2
             |                 | 198.18.3.1          |
           nat_a               | 198.18.3.0/24     nat_b  10.0.2.1
             | 10.0.1.1        '---- nat_c           |
             |                  .2     | 10.0.3.1  host_b 10.0.2.2
             '------- host_a ----------'
       host_a-wifi 10.0.1.2   host_a-cell 10.0.3.2

The default route over Wi-Fi (metric 100) goes before the one over cellular (metric 200). While
``host_a-wifi`` is down, everything leaves by cellular: that is the hand-over.

    mn --custom topologies/multi_homed.py --topo multi_homed,nat_c=symmetric
"""

from __future__ import annotations

from natlab.network.base import HOME_A, HOME_B, Home, LabTopo, router_ports

_CELLULAR = Home("nat_c", ["host_a"], 3, "198.18.3.2/24", "198.18.3.1")


class MultiHomed(LabTopo):
    """All three are preset names: `nat_a` is behind Wi-Fi, `nat_c` is the mobile carrier's."""

    def build(
        self,
        nat_a: str = "port-restricted-cone",
        nat_b: str = "port-restricted-cone",
        nat_c: str = "port-restricted-cone",
    ) -> None:
        access = [("wifi", 100, "a", HOME_A, nat_a), ("cell", 200, "c", _CELLULAR, nat_c)]
        self.add_internet(
            {
                "internet-a": [f"{HOME_A.gateway}/25"],
                "internet-b": [f"{HOME_B.gateway}/25"],
                "internet-c": [f"{_CELLULAR.gateway}/24"],
            },
            [
                route
                for home, nat in ((HOME_A, nat_a), (HOME_B, nat_b), (_CELLULAR, nat_c))
                for route in home.public_route(nat)
            ],
        )
        networks = {name: home.lan_network(nat) for name, _, _, home, nat in access}
        self.add_host(
            "host_a",
            {f"host_a-{name}": [f"{network[2]}/24"] for name, network in networks.items()},
            [
                f"default via {networks[name][1]} dev host_a-{name} metric {metric}"
                for name, metric, *_ in access
            ],
        )
        for name, _, letter, home, nat in access:
            lan, wan = f"{home.nat}-lan", f"{home.nat}-wan"
            self.add_nat(
                home.nat,
                nat,
                router_ports(lan, wan, home.wan, [str(networks[name][2])]),
                {lan: [f"{networks[name][1]}/24"], wan: [home.wan]},
                [f"default via {home.gateway}"],
            )
            self.join(f"host_a-{name}", lan)
            self.join(wan, f"internet-{letter}")
        self.add_home(HOME_B, nat_b)
        self.join("nat_b-wan", "internet-b")


topos = {"multi_homed": MultiHomed}
