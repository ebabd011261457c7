"""The parts of the lab's topologies: nodes with a role, and links that are named by interface.

A topology is a Mininet `Topo` whose `build` calls the methods below, so that the same file works in
the lab and under plain ``mn --custom``. Interfaces are named ``NODE-SOMETHING``, 15 characters at
most; their addresses are given with the node, and `join` links two of them by name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Interface, IPv4Network, ip_address, ip_interface
from pathlib import Path

from mininet.topo import Topo

from nat_traversal.errors import UsageError
from natlab.behavior import pool
from natlab.nat.rules import Firewall, RouterPorts
from natlab.network import addressing
from natlab.network.addressing import Role
from natlab.network.nodes import FORWARDING, LabLink, LabNode, Nat
from natlab.network.translator import Nat64
from natlab.presets import preset

Addresses = Mapping[str, Sequence[str]]
"""CIDR texts by interface name. An interface that a bridge joins has an empty list."""
_SHARED = IPv4Network("100.64.0.0/10")
MOST_NAME = 15  # IFNAMSIZ - 1
_NAME = re.compile(r"[^\W\d][\w.-]*")
_INTERFACE = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Home:
    """A NAT and the hosts behind it. `number` (0 to 255) tells its LAN from those of others."""

    nat: str
    hosts: Sequence[str]
    number: int
    wan: str
    """The NAT's outer address with its network, ``203.0.113.2/25``."""
    gateway: str

    def lan_network(self, nat: str) -> IPv4Network:
        """RFC 1918 space behind a NAT. Behind `none` it is RFC 2544's, or RFC 6598's where a carrier's NAT is
        outside: there is no other address then."""
        block = "10.0"
        if preset(nat).behavior is None:
            block = "100.65" if IPv4Interface(self.wan).ip in _SHARED else "198.19"
        return IPv4Network(f"{block}.{self.number}.0/24")

    def public_route(self, nat: str) -> list[str]:
        """The route that the next router needs to the hosts behind `none`; none for a NAT."""
        if preset(nat).behavior is not None:
            return []
        return [f"{self.lan_network(nat)} via {IPv4Interface(self.wan).ip}"]


HOME_A = Home("nat_a", ["host_a"], 1, "203.0.113.2/25", "203.0.113.1")
HOME_B = Home("nat_b", ["host_b"], 2, "198.51.100.2/25", "198.51.100.1")
"""The two homes of most topologies, as in `two_nats`."""


def router_ports(lan: str, wan: str, wan_address: str, inside: Sequence[str]) -> RouterPorts:
    """The rule generator's input for a NAT with the hosts `inside` it."""
    address = str(IPv4Interface(wan_address).ip)
    return RouterPorts(lan, wan, address, inside[0], tuple(inside[1:]))


def made_by(topology: Topo, firewall: Firewall) -> Topo:
    """`topology` with NATs whose rules `firewall` loads.

    Raises `UsageError`, with the reason, for a NAT that it cannot make.
    """
    for name in topology.nodes():
        info = topology.nodeInfo(name)
        if isinstance(nat := info.get("nat"), Nat):
            info["nat"] = replace(nat, firewall=firewall)
            info["rules"] = info["nat"].rules
    return topology


class LabTopo(Topo):  # type: ignore[misc]
    """A `Topo` of `LabNode`s. All of these raise `UsageError` for what cannot be."""

    def __init__(self, *args: object, **params: object) -> None:
        """Under plain ``mn`` a wrong parameter ends the process at once, in one line.

        ``mn`` would answer any exception with a clean-up that removes files in /tmp and ends processes
        by their names, its own and other people's.
        """
        self.delays: dict[tuple[str, str], float] = {}
        """Seconds, one way, of links between neighbours that are long by themselves. Plain ``mn`` makes none."""
        try:
            super().__init__(*args, **params)
        except (UsageError, TypeError) as error:
            if Path(sys.argv[0]).name != "mn":
                raise
            raise SystemExit(f"error: {error}") from None

    def add_host(
        self, name: str, addresses: Addresses, routes: Sequence[str], *, resolver: str = ""
    ) -> None:
        """A host: runs programs, forwards nothing. It asks `resolver` for names, if there is one."""
        self._add(name, Role.HOST, addresses, routes=routes, resolver=resolver)

    def add_server(
        self, addresses: Addresses, routes: Sequence[str], *, name: str = "server"
    ) -> None:
        """The public server. Two IPv4 addresses let NATs be probed from it."""
        self._add(name, Role.SERVER, addresses, routes=routes)

    def add_router(
        self,
        name: str,
        addresses: Addresses,
        routes: Sequence[str] = (),
        *,
        firewall: str = "",
        nat64: Nat64 | None = None,
    ) -> None:
        """A router: forwards what its IPv6 `firewall` (for ``nft -f -``) lets through.

        With `nat64` it translates between IPv6 and IPv4.
        """
        told = {"firewall": firewall, "nat64": nat64}
        self._add(name, Role.ROUTER, addresses, routes=routes, rules=FORWARDING, **told)

    def add_nat(
        self,
        name: str,
        nat: str,
        ports: RouterPorts,
        addresses: Addresses,
        routes: Sequence[str],
        *,
        bridges: Addresses | None = None,
        firewall: str = "",
    ) -> None:
        """A NAT of the preset called `nat` between the interfaces that `ports` names.

        `firewall` is what ``nft -f -`` loads into it, where it has IPv6.
        """
        for interface in (ports.lan, ports.wan):
            if interface not in addresses:
                raise UsageError(f"{name} has no interface {interface}: give its addresses")
        made = Nat(preset(nat), ports)
        addresses = _with_pool(made, addresses)
        self._add(
            name,
            Role.NAT,
            addresses,
            routes=routes,
            nat=made,
            rules=made.rules,
            bridges=bridges or {},
            firewall=firewall,
        )

    def add_internet(self, addresses: Addresses, routes: Sequence[str] = ()) -> None:
        """The router between everybody, called ``internet``, and the server behind it."""
        uplink = {"internet-s": [str(addressing.SERVER_ROUTER)]}
        self.add_router("internet", {**addresses, **uplink}, routes)
        self.add_server(
            {"server-eth0": [str(addressing.SERVER), str(addressing.SERVER_SECOND)]},
            [f"default via {addressing.SERVER_ROUTER.ip}"],
        )
        self.join("server-eth0", "internet-s")

    def add_turn(self, uplink: str) -> None:
        """A node for a TURN server, called ``turn``, on the interface `uplink` of a router that is there."""
        route = f"default via {addressing.TURN_ROUTER.ip}"
        self.add_server({"turn-eth0": [str(addressing.TURN)]}, [route], name="turn")
        self.join("turn-eth0", uplink)

    def add_route(self, node: str, route: str) -> None:
        """One more route for a node that exists."""
        info = self.nodeInfo(node)
        info["routes"] = [*info.get("routes", ()), route]

    def add_home(self, home: Home, nat: str) -> None:
        """A NAT of the preset called `nat` with its hosts: one on a link, several on a bridge.

        Its WAN interface waits for a `join`. With `none` the hosts have addresses of their own, to
        which `add_route` on the next router has to lead: `Home.public_route`.
        """
        lan, wan = f"{home.nat}-lan", f"{home.nat}-wan"
        network = home.lan_network(nat)
        hosts = list(zip(home.hosts, list(network.hosts())[1:], strict=False))
        members = [f"{lan}{number}" for number in range(1, len(hosts) + 1)]
        bridged = len(hosts) > 1
        addresses: dict[str, Sequence[str]] = {
            lan: [f"{network[1]}/{network.prefixlen}"],
            wan: [home.wan],
        }
        self.add_nat(
            home.nat,
            nat,
            router_ports(lan, wan, home.wan, [str(address) for _, address in hosts]),
            # A bridge comes up after what it joins.
            {**dict.fromkeys(members if bridged else (), ()), **addresses},
            [f"default via {home.gateway}"],
            bridges={lan: members} if bridged else None,
        )
        for (host, address), member in zip(hosts, members, strict=True):
            self.add_host(
                host,
                {f"{host}-eth0": [f"{address}/{network.prefixlen}"]},
                [f"default via {network[1]}"],
            )
            self.join(f"{host}-eth0", member if bridged else lan)

    def add_carrier(
        self, name: str, nat: str, lan: str, homes: Sequence[Home], outside: Home
    ) -> None:
        """A carrier-grade NAT for `homes`, whose WAN interfaces are to be joined to its LAN side:
        ``NAME-lan`` for one home, ``NAME-lan1``, ``NAME-lan2`` and so on for several.

        It is where `outside` would be on the internet. Raises `UsageError` for `none`.
        """
        if preset(nat).behavior is None:
            raise UsageError(f"{name} has to translate: a carrier's NAT cannot be `none`")
        interface, wan = f"{name}-lan", f"{name}-wan"
        members = [f"{interface}{number}" for number in range(1, len(homes) + 1)]
        bridged = len(homes) > 1
        inside = [str(IPv4Interface(home.wan).ip) for home in homes]
        self.add_nat(
            name,
            nat,
            router_ports(interface, wan, outside.wan, inside),
            {**dict.fromkeys(members if bridged else (), ()), interface: [lan], wan: [outside.wan]},
            [f"default via {outside.gateway}"],
            bridges={interface: members} if bridged else None,
        )

    def join(self, one: str, other: str) -> None:
        """A link between two interfaces of two nodes, which have to exist."""
        owners = [self._owner(interface) for interface in (one, other)]
        self.addLink(
            *(name for name, _ in owners),
            cls=LabLink,
            intfName1=one,
            intfName2=other,
            addr1=mac_address(one, owners[0][1]),
            addr2=mac_address(other, owners[1][1]),
        )

    def _owner(self, interface: str) -> tuple[str, Sequence[str]]:
        for name in self.nodes(sort=False):
            addresses = self.nodeInfo(name).get("addresses", {})
            if interface in addresses:
                return name, addresses[interface]
        raise UsageError(f"no node has an interface {interface}: add it to a node's addresses")

    def _add(self, name: str, role: Role, addresses: Addresses, **params: object) -> None:
        if name in self.nodes(sort=False):
            raise UsageError(f"there are two nodes {name}: give each a name of its own")
        check_name(name)
        for interface, texts in addresses.items():
            check_interface(interface)
            for text in texts:
                check_address(text)
        self.addHost(name, cls=LabNode, role=role, addresses=addresses, **params)


def _with_pool(nat: Nat, addresses: Addresses) -> Addresses:
    """`addresses`, and on the WAN interface all those of the NAT's pool.

    Raises `UsageError` where the pool does not fit into the network.
    """
    behavior, wan = nat.preset.behavior, nat.ports.wan
    if behavior is None or behavior.addresses == 1:
        return addresses
    first = next(
        own for own in map(IPv4Interface, addresses[wan]) if str(own.ip) == nat.ports.wan_address
    )
    others = [ip_address(each) for each in pool(behavior, nat.ports.wan_address)[1:]]
    if not all(each in first.network for each in others):
        raise UsageError(
            f"{nat.preset.name} takes {', '.join(map(str, others))}, which are not in {first.network}:"
            " give the NAT a larger network outside"
        )
    length = first.network.prefixlen
    return {**addresses, wan: [*addresses[wan], *(f"{each}/{length}" for each in others)]}


def check_turn(turn: int) -> None:
    """Raise `UsageError` unless `turn` says whether there is a node for a TURN server."""
    if turn not in (0, 1):
        raise UsageError(f"turn={turn}: give 1 for a node that can run a TURN server, or 0")


def check_name(name: str) -> None:
    """Raise `UsageError` unless `name` can be a node's: it is part of options, faults and names of files."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be a node's name: give letters, digits, `_`, `-` and dots, a letter first"
        )


def check_interface(name: str) -> None:
    """Raise `UsageError` unless Linux and the lab take `name` for an interface."""
    if not 0 < len(name.encode()) <= MOST_NAME:
        raise UsageError(f"interface name {name!r}: Linux takes 1 to {MOST_NAME} bytes")
    if _INTERFACE.fullmatch(name) is None:
        raise UsageError(f"interface name {name!r}: give letters, digits, `_`, `-` and dots")


def check_address(text: str) -> None:
    """Raise `UsageError` unless `text` is an address with its network, such as ``10.0.0.1/24``."""
    try:
        ip_interface(text)
    except ValueError:
        raise UsageError(f"{text!r} is no address: give one like 10.0.0.1/24") from None
    if "/" not in text:
        raise UsageError(f"{text} has no network length: give one like {text}/24")


def mac_address(interface: str, addresses: Sequence[str]) -> str:
    """A locally administered MAC address that shows the IPv4 address in a capture.

    Without an IPv4 address it is made of the interface's name, so that it is the same every time.
    """
    for text in addresses:
        address = ip_interface(text)
        if isinstance(address, IPv4Interface):
            return "02:00:" + address.ip.packed.hex(":")
    return "06:" + sha256(interface.encode()).digest()[:5].hex(":")
