"""Ask every NAT of a standing network what it is, before anything relies on its name.

Each is asked by itself: from a node on its LAN side, with answers from the node next to it on its WAN
side, which for that time has two addresses that are nowhere else. So no other NAT has a part in the
answer: one that is outside lies behind the node that answers, and one that asks only forwards meanwhile.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from nat_traversal.errors import UsageError
from natlab.behavior import pool
from natlab.errors import NatMismatchError, NetworkError
from natlab.network.addressing import Role
from natlab.network.adjacency import Neighbour, gateways, ipv4, neighbours
from natlab.network.network import Network
from natlab.network.nodes import FORWARDING, LabNode
from natlab.network.reload import load_rules
from natlab.probe.observe import Observation, check, observe
from natlab.probe.sockets import Exchange, Host, Outside, one_cpu
from natlab.sandbox import netlink
from natlab.sandbox.netns import IP, Command, in_namespace, run_together

_SPARE = IPv4Network("198.18.0.0/16")
"""Where the two addresses are taken from (RFC 2544): the last /24 of it that nothing has to do with."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one NAT is asked."""

    nat: LabNode
    lan: IPv4Address
    """The NAT's own address towards `inside`."""
    inside: Neighbour
    outside: Neighbour


def probe_all(network: Network) -> dict[str, Observation]:
    """Probe each NAT node; the findings by name, for `check_all`. Afterwards the NATs forget the probes.

    Call it while links are plain. Raises `NatMismatchError` if packets leave a NAT from an address that
    is not its own, and `NetworkError` if it lets nothing through at all. Raises `UsageError` if a NAT
    has nobody on one of its sides.
    """
    return _probe(network, network.with_role(Role.NAT))


def probe_nat(network: Network, nat: str) -> Observation:
    """`probe_all` of one NAT."""
    return _probe(network, [nat])[nat]


def check_all(network: Network, observed: Mapping[str, Observation]) -> None:
    """Raise `NatMismatchError`, with the probes, for the first NAT that is not what it is called."""
    for name, seen in observed.items():
        with _named(name):
            check(network.nat(name).preset, seen)


def _probe(network: Network, names: Sequence[str]) -> dict[str, Observation]:
    by_outside: dict[str, list[_Place]] = defaultdict(list)
    for name in names:
        place = _place(network, name)
        by_outside[place.outside.node].append(place)
    spare = _spare_addresses(network)
    found = {}
    for outside, places in by_outside.items():
        pid = network.pid(outside)
        with _held(pid, spare):
            for place in places:
                with _ways(network, place, spare):
                    found[place.nat.name] = _ask(network, place, Outside(pid, *map(str, spare)))
    # The carrier's NAT has tracked what its neighbour was asked, so all forget, not each its own.
    network.forget(*network.with_role(Role.NAT))
    return {name: found[name] for name in names}


def _place(network: Network, name: str) -> _Place:
    nat, ports = network.node(name), network.nat(name).ports
    inner = _beside(network, name, ports.lan)
    outer = _beside(network, name, ports.wan)
    for side, found in (("LAN", inner), ("WAN", outer)):
        if not found:
            raise UsageError(
                f"{name} cannot be probed: nobody on its {side} side has an address in its network"
            )
    ways_out = gateways(nat)
    outside = min(outer, key=lambda each: each.address.ip not in ways_out)
    # A host rather than a NAT, and the one that the topology names rather than another.
    inside = min(
        inner,
        key=lambda each: (_translates(network, each), str(each.address.ip) != ports.lan_host),
    )
    lan = next(own.ip for own in ipv4(network, name, ports.lan) if inside.address.ip in own.network)
    return _Place(nat, lan, inside, outside)


def _beside(network: Network, nat: str, interface: str) -> list[Neighbour]:
    own = [address.network for address in ipv4(network, nat, interface)]
    return [
        each
        for each in neighbours(network, nat, interface)
        if any(each.address.ip in network for network in own)
    ]


def _translates(network: Network, neighbour: Neighbour) -> bool:
    """Whether its own packets there pass through rules: on a NAT's LAN side they do not."""
    node = network.node(neighbour.node)
    loaded = node.rules is not None and (node.rules.nft or node.rules.iptables)
    return bool(loaded) and (node.nat is None or neighbour.interface != node.nat.ports.lan)


def _spare_addresses(network: Network) -> tuple[IPv4Address, IPv4Address]:
    taken = [address.network for name in network.names for address in ipv4(network, name)]
    for name in network.names:
        destinations = (route.split()[0] for route in network.node(name).routes)
        routed = (ip_network(each) for each in destinations if each != "default")
        taken += [each for each in routed if isinstance(each, IPv4Network) and each.prefixlen]
    for free in reversed([*_SPARE.subnets(new_prefix=24)]):
        if not any(free.overlaps(network) for network in taken):
            return free[1], free[2]
    raise UsageError(f"no NAT can be probed here: leave a /24 of {_SPARE} free for that")


@contextmanager
def _ways(
    network: Network, place: _Place, spare: tuple[IPv4Address, IPv4Address]
) -> Iterator[None]:
    """Routes to the spare addresses where the default is another, and NATs that ask asleep."""
    inside, outside = place.inside, place.outside
    with ExitStack() as stack:
        for neighbour in (inside, outside):
            if _translates(network, neighbour):
                stack.enter_context(_asleep(network.node(neighbour.node)))
        for node, gateway, via in (
            (network.node(inside.node), place.lan, f"{inside.interface} src {inside.address.ip}"),
            (place.nat, outside.address.ip, network.nat(place.nat.name).ports.wan),
        ):
            if gateways(node) != [gateway]:
                routes = [f"{address} via {gateway} dev {via}" for address in spare]
                stack.enter_context(_routed(node.pid, routes))
        yield


@contextmanager
def _asleep(nat: LabNode) -> Iterator[None]:
    """It only forwards. Its rules are loaded anew afterwards, as at a reboot."""
    rules = nat.rules
    assert rules is not None
    load_rules(nat, FORWARDING)
    try:
        yield
    finally:
        load_rules(nat, rules)


@contextmanager
def _held(pid: int, addresses: Sequence[IPv4Address]) -> Iterator[None]:
    """The node has `addresses` for the time of the block."""
    for address in addresses:
        _change_address(pid, _RTM_NEWADDR, address)
    try:
        yield
    finally:
        for address in addresses:
            _change_address(pid, _RTM_DELADDR, address)


_RTM_NEWADDR, _RTM_DELADDR = 20, 21  # linux/rtnetlink.h
_LOOPBACK, _IFA_ADDRESS, _IFA_LOCAL = 1, 1, 2


def _change_address(pid: int, what: int, address: IPv4Address) -> None:
    """The same as ``ip address`` for the loopback interface, without the cost of a process."""
    octets = address.packed
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, _LOOPBACK)
    body += struct.pack("=HH4sHH4s", 8, _IFA_LOCAL, octets, 8, _IFA_ADDRESS, octets)
    with in_namespace(pid):
        error = netlink.request(socket.NETLINK_ROUTE, what, body)
    if error:
        raise NetworkError(f"cannot change {address} on the node outside: error {error}")


@contextmanager
def _routed(pid: int, routes: Sequence[str]) -> Iterator[None]:
    """The node has `routes` for the time of the block."""

    def change(verb: str) -> None:
        text = "".join(f"route {verb} {route}\n" for route in routes)
        run_together([Command(IP, text, pid)])

    change("add")
    try:
        yield
    finally:
        change("del")


def _ask(network: Network, place: _Place, outside: Outside) -> Observation:
    nat = network.nat(place.nat.name)
    inside = str(place.inside.address.ip)
    with _named(place.nat.name), one_cpu(), ExitStack() as stack:
        exchange = Exchange(Host(network.pid(place.inside.node), inside), outside, stack)
        behavior = nat.preset.behavior
        leaves_from = pool(behavior, nat.ports.wan_address) if behavior else (inside,)
        return observe(exchange, nat.preset, leaves_from)


@contextmanager
def _named(nat: str) -> Iterator[None]:
    """An error says of which NAT it is."""
    try:
        yield
    except NatMismatchError as error:
        raise NatMismatchError(f"{nat}: {error}") from None
    except NetworkError as error:
        raise NetworkError(f"{nat} cannot be probed: {error}") from None
