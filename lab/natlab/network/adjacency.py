"""Neighbours in a standing network, and the NATs through which a node gets out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_address

from natlab.network.addressing import Role
from natlab.network.network import Network
from natlab.network.nodes import LabNode

Port = tuple[str, str]
"""A node and one of its interfaces."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node on a link or a switch, by the interface that has its address there."""

    node: str
    interface: str
    address: IPv4Interface


def far_ends(network: Network) -> dict[Port, Port]:
    """Each end of a link, and the other end."""
    found: dict[Port, Port] = {}
    for link in network.mininet.links:
        one, other = ((end.node.name, end.name) for end in (link.intf1, link.intf2))
        found |= {one: other, other: one}
    return found


def neighbours(network: Network, node: str, interface: str) -> list[Neighbour]:
    """Nodes that `interface` reaches over IPv4 without a router between, the nearest first."""
    far = far_ends(network)
    waiting = [*_ports(network.node(node), interface)]
    met = set(waiting)
    found = []
    for port in waiting:  # which grows
        if port not in far:
            continue
        name, end = far[port]
        at = network.node(name)
        bridge = next((each for each, members in at.bridges.items() if end in members), end)
        new = [each for each in _ports(at, bridge) if each not in met]
        met.update(new)
        waiting += [each for each in new if each != (name, end)]
        found += [Neighbour(name, bridge, address) for address in ipv4(network, name, bridge)]
    return found


def _ports(node: LabNode, interface: str) -> Iterator[Port]:
    return ((node.name, member) for member in node.bridges.get(interface, [interface]))


def ipv4(network: Network, node: str, interface: str | None = None) -> list[IPv4Interface]:
    """The IPv4 addresses of `node`, or of one interface of it, in the order of its topology."""
    return [
        address
        for name, group in network.addresses(node).items()
        for address in group
        if isinstance(address, IPv4Interface) and interface in {None, name}
    ]


def gateways(node: LabNode, version: int = 4) -> list[IPv4Address | IPv6Address | None]:
    """Where the default routes of `node` for that version of IP lead, in their order; None for one without a gateway."""
    found: list[IPv4Address | IPv6Address | None] = []
    for words in map(str.split, node.routes):
        if words[0] in {"default", "0.0.0.0/0"}:
            gateway = ip_address(words[words.index("via") + 1]) if "via" in words else None
            if gateway is None or gateway.version == version:
                found.append(gateway)
    return found


def _way_out(node: LabNode) -> IPv4Address | IPv6Address | None:
    every = [gateway for gateway in gateways(node, 4) + gateways(node, 6) if gateway is not None]
    return next(iter(every), None)


def ways_out(network: Network, others: Collection[str] = ()) -> dict[str, list[str]]:
    """The NATs that packets of each node cross by its first default route, the innermost first; and of `others`
    those on the way. A route of IPv6 counts where there is none of IPv4.
    """
    owners = {
        address.ip: name
        for name in network.names
        for group in network.addresses(name).values()
        for address in group
    }
    nats = {*network.with_role(Role.NAT), *others}
    next_hops = {
        name: owners.get(gateway)
        for name in network.names
        if (gateway := _way_out(network.node(name))) is not None
    }
    found: dict[str, list[str]] = {}
    for name in network.names:
        met = {name: None}
        at = next_hops.get(name)
        while at is not None and at not in met:
            met[at] = None
            at = next_hops.get(at)
        found[name] = [each for each in met if each in nats and each != name]
    return found


def wan_links(network: Network) -> list[tuple[str, str]]:
    """The link between each NAT and what is outside it, as the two nodes' names."""
    far = far_ends(network)
    ends = ((name, network.nat(name).ports.wan) for name in network.with_role(Role.NAT))
    return [(end[0], far[end][0]) for end in ends if end in far]
