"""A standing network as its users see it: variables, capture points, lanes of the diagram."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from natlab.evidence.hops import Scene
from natlab.network.addressing import Role
from natlab.network.adjacency import far_ends, ipv4, ways_out
from natlab.network.network import Network


def scene(network: Network) -> Scene:
    """Every link's end at a host, NAT, translator or server; and these nodes side by side, the servers between."""
    translators = {
        name: nat64 for name in network.names if (nat64 := network.node(name).nat64) is not None
    }
    seen = {
        name
        for name in network.names
        if network.node(name).role is not Role.ROUTER or name in translators
    }
    points = {end: node for node, end in far_ends(network) if node in seen}
    nats = network.with_role(Role.NAT)
    wans = frozenset(network.nat(name).ports.wan for name in nats)
    own = frozenset(nat64.answers_at for nat64 in translators.values())
    every = frozenset((*nats, *translators))
    return Scene(points, _lanes(network, translators), every, wans, own)


def _lanes(network: Network, translators: Collection[str]) -> tuple[str, ...]:
    """Each host beside the NATs that it leaves by: half of the homes on the left, half on the right."""
    ways = ways_out(network, translators)
    homes: dict[str, dict[str, None]] = defaultdict(dict)
    for host in network.with_role(Role.HOST):
        *inner, outermost = [host, *ways[host]]
        homes[outermost] |= dict.fromkeys(inner)
    blocks = [[*inner, outermost] for outermost, inner in homes.items()]
    half = (len(blocks) + 1) // 2
    left = [name for block in blocks[:half] for name in block]
    right = [name for block in blocks[half:] for name in block][::-1]
    placed = {*left, *right}
    others = [name for name in network.with_role(Role.NAT) if name not in placed]
    return (*left, *others, *network.with_role(Role.SERVER), *right)


def environment(network: Network, directory: Path) -> dict[str, dict[str, str]]:
    """The ``LAB_`` variables of each node; `docs/lab/guide.md` lists them."""
    common = {"LAB_DIR": str(directory.resolve())}
    for server in network.with_role(Role.SERVER)[:1]:
        for version, suffix in _VERSIONS.items():
            words = (f"LAB_SERVER{suffix}", f"LAB_SERVER_SECOND{suffix}")
            common |= dict(zip(words, _addresses(network, server, version), strict=False))
    ways = ways_out(network)
    public = {
        name: address
        for name, way in ways.items()
        if (address := _public(network, [name, *way])) is not None
    }
    # Nothing here translates IPv6: each is seen by its own address.
    public6 = {name: own[0] for name in ways if (own := _addresses(network, name, 6))}
    hosts = network.with_role(Role.HOST)
    seen = {
        f"LAB_{_word(host)}{suffix}": known[host]
        for known, suffix in ((public, ""), (public6, "6"))
        for host in hosts
        if host in known
    }
    found = {}
    for name in network.names:
        found[name] = seen | common | {"LAB_NODE": name}
        role = network.node(name).role
        if role is not Role.ROUTER:
            found[name]["LAB_SELF"] = network.address(name)
            if own := _addresses(network, name, 6):
                found[name]["LAB_SELF6"] = own[0]
        if role in {Role.HOST, Role.NAT}:
            nearest = name if role is Role.NAT else next(iter(ways[name]), None)
            found[name]["LAB_NAT"] = network.nat(nearest).preset.name if nearest else "none"
            peer = _peer(name, hosts, ways)
            for known, suffix in ((public, ""), (public6, "6")):
                if name in known:
                    found[name][f"LAB_PUBLIC{suffix}"] = known[name]
                if peer in known:
                    found[name][f"LAB_PEER{suffix}"] = known[peer]
    return found


_VERSIONS = {4: "", 6: "6"}
"""IP versions, and what their variables end with."""


def _addresses(network: Network, node: str, version: int) -> list[str]:
    """The addresses of `node` of one version of IP, in the order of its topology."""
    groups = network.addresses(node).values()
    return [str(each.ip) for group in groups for each in group if each.version == version]


def _public(network: Network, way: Sequence[str]) -> str | None:
    """The address at which the first of `way` is seen from outside every NAT on it; None without IPv4."""
    for each in reversed(way):
        nat = network.node(each).nat
        if nat is not None and nat.preset.behavior is not None:
            return nat.ports.wan_address
    return next((str(address.ip) for address in ipv4(network, way[0])), None)


def _peer(name: str, hosts: Sequence[str], ways: Mapping[str, Sequence[str]]) -> str | None:
    """Where there are two hosts, the one that neither is `name` nor behind it."""
    others = [host for host in hosts if name not in {host, *ways[host]}]
    return others[0] if len(hosts) == 2 and len(others) == 1 else None


def _word(host: str) -> str:
    return re.sub(r"\W", "_", host.removeprefix("host_")).upper()
