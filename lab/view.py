"""What those who use a standing network see of it: variables, capture points, lanes of the diagram."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from lab.addressing import Role
from lab.ladder import Scene
from lab.neighbours import far_ends, ipv4, way_out
from lab.network import Network


def scene(network: Network) -> Scene:
    """Every link's end at a host, NAT or server; and these nodes side by side, the servers between."""
    seen = {
        name: network.node(name).role
        for name in network.names
        if network.node(name).role is not Role.ROUTER
    }
    points = {end: node for node, end in far_ends(network) if node in seen}
    return Scene(points, _lanes(network), frozenset(network.with_role(Role.NAT)))


def _lanes(network: Network) -> tuple[str, ...]:
    """Each host beside the NATs that it leaves by: half of the homes on the left, half on the right."""
    homes: dict[str, dict[str, None]] = defaultdict(dict)
    for host in network.with_role(Role.HOST):
        *inner, outermost = [host, *way_out(network, host)]
        homes[outermost] |= dict.fromkeys(inner)
    blocks = [[*inner, outermost] for outermost, inner in homes.items()]
    half = (len(blocks) + 1) // 2
    left = [name for block in blocks[:half] for name in block]
    right = [name for block in blocks[half:] for name in block][::-1]
    others = [name for name in network.with_role(Role.NAT) if name not in {*left, *right}]
    return (*left, *others, *network.with_role(Role.SERVER), *right)


def environment(network: Network, directory: Path) -> dict[str, dict[str, str]]:
    """The ``LAB_`` variables of each node; `docs/lab.md` lists them."""
    common = {"LAB_DIR": str(directory.resolve())}
    for server in network.with_role(Role.SERVER)[:1]:
        words = ("LAB_SERVER", "LAB_SERVER_SECOND")
        addresses = (str(address.ip) for address in ipv4(network, server))
        common |= dict(zip(words, addresses, strict=False))
    public = {
        host: address
        for host in network.with_role(Role.HOST)
        if (address := _public(network, host)) is not None
    }
    seen = {f"LAB_{_word(host)}": address for host, address in public.items()}
    return {
        name: seen | common | {"LAB_NODE": name} | _own(network, name, public)
        for name in network.names
    }


def _own(network: Network, name: str, public: Mapping[str, str]) -> dict[str, str]:
    node = network.node(name)
    if node.role is Role.ROUTER:
        return {}
    found = {"LAB_SELF": network.address(name)}
    if node.role is Role.SERVER:
        return found
    way = way_out(network, name)
    address = _public(network, name)
    if address is not None:
        found["LAB_PUBLIC"] = address
    nearest = name if node.nat else next(iter(way), None)
    found["LAB_NAT"] = network.nat(nearest).preset.name if nearest else "none"
    hosts = network.with_role(Role.HOST)
    others = [host for host in hosts if name not in {host, *way_out(network, host)}]
    if len(hosts) == 2 and len(others) == 1 and others[0] in public:
        found["LAB_PEER"] = public[others[0]]
    return found


def _public(network: Network, name: str) -> str | None:
    """The address at which `name` is seen from outside every NAT on its way; None without IPv4."""
    for each in reversed([name, *way_out(network, name)]):
        nat = network.node(each).nat
        if nat is not None and nat.preset.behavior is not None:
            return nat.ports.wan_address
    return next((str(address.ip) for address in ipv4(network, name)), None)


def _word(host: str) -> str:
    return re.sub(r"\W", "_", host.removeprefix("host_")).upper()
