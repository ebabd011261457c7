"""What the lab's topologies are made of: nodes with a role, and links that are named by interface.

A topology is a Mininet `Topo` whose `build` calls the methods below, so that the same file works in
the lab and under plain ``mn --custom``. Interfaces are named ``NODE-SOMETHING``, 15 characters at
most; their addresses are given with the node, and `join` links two of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Interface, ip_interface

from mininet.topo import Topo

from lab import addressing
from lab.addressing import Role
from lab.rules import RouterPorts, RuleSet
from nat_traversal.behavior import preset
from nat_traversal.errors import UsageError
from topologies.nodes import FORWARDING, LabLink, LabNode, Nat

Addresses = Mapping[str, Sequence[str]]
"""CIDR texts by interface name. An interface that a bridge joins has an empty list."""
_MOST_NAME = 15  # IFNAMSIZ - 1


class LabTopo(Topo):  # type: ignore[misc]
    """A `Topo` of `LabNode`s. All of these raise `UsageError` for what cannot be."""

    def add_host(self, name: str, addresses: Addresses, routes: Sequence[str]) -> None:
        """A host: runs programs, forwards nothing."""
        self._add(name, Role.HOST, addresses, routes=routes)

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
        rules: RuleSet = FORWARDING,
    ) -> None:
        """A router: forwards, and nothing else."""
        self._add(name, Role.ROUTER, addresses, routes=routes, rules=rules)

    def add_nat(
        self,
        name: str,
        nat: str,
        ports: RouterPorts,
        addresses: Addresses,
        routes: Sequence[str],
        *,
        bridges: Addresses | None = None,
    ) -> None:
        """A NAT of the preset called `nat` between the interfaces that `ports` names."""
        for interface in (ports.lan, ports.wan):
            if interface not in addresses:
                raise UsageError(f"{name} has no interface {interface}: give its addresses")
        made = Nat(preset(nat), ports)
        self._add(
            name,
            Role.NAT,
            addresses,
            routes=routes,
            nat=made,
            rules=made.rules,
            bridges=bridges or {},
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

    def join(self, one: str, other: str) -> None:
        """A link between two interfaces of two nodes, which have to exist."""
        owners = [self._owner(interface) for interface in (one, other)]
        self.addLink(
            *(name for name, _ in owners),
            cls=LabLink,
            intfName1=one,
            intfName2=other,
            addr1=_mac(one, owners[0][1]),
            addr2=_mac(other, owners[1][1]),
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
        for interface, texts in addresses.items():
            if not 0 < len(interface.encode()) <= _MOST_NAME:
                raise UsageError(
                    f"interface name {interface!r} of {name}: Linux takes 1 to {_MOST_NAME} bytes"
                )
            for text in texts:
                check_address(text)
        self.addHost(name, cls=LabNode, role=role, addresses=addresses, **params)


def check_address(text: str) -> None:
    """Raise `UsageError` unless `text` is an address with its network, such as ``10.0.0.1/24``."""
    try:
        ip_interface(text)
    except ValueError:
        raise UsageError(f"{text!r} is no address: give one like 10.0.0.1/24") from None
    if "/" not in text:
        raise UsageError(f"{text} has no network length: give one like {text}/24")


def _mac(interface: str, addresses: Sequence[str]) -> str:
    """A locally administered MAC address that shows the IPv4 address in a capture.

    Without an IPv4 address it is made of the interface's name, so that it is the same every time.
    """
    for text in addresses:
        address = ip_interface(text)
        if isinstance(address, IPv4Interface):
            return "02:00:" + address.ip.packed.hex(":")
    return "06:" + sha256(interface.encode()).digest()[:5].hex(":")
