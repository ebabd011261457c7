"""Addresses at which a host was seen: why another host cannot use one. Pure."""

from __future__ import annotations

from nat_traversal.server.member import Member
from nat_traversal.wire.addresses import is_link_local, is_loopback, is_private

_HIDDEN = (
    "a proxy or a port forwarding in front of the server hides its clients' addresses; run the server "
    "where it sees them (in a container with the host's network)"
)


def obstacle(host: Member, peer: Member) -> str | None:
    """Why `peer` cannot reach `host` where the server saw it, and what would be right; None if it may.

    Loopback will do where both hosts reached the server over loopback: they are on its host.
    """
    for seen in host.endpoints:
        if is_link_local(seen.address):
            return (
                f"the server sees {host.id} at the link-local address {seen.address}, which means nothing "
                f"to {peer.id}: start {host.id} with a --server address that is routed"
            )
        if not is_loopback(seen.address):
            continue
        if host.via and not is_loopback(host.via):
            return (
                f"the server sees {host.id} at {seen.address}, though {host.id} reached it at "
                f"{host.via}: {_HIDDEN}"
            )
        if not all(is_loopback(each.address) for each in peer.endpoints):
            better = peer.via if peer.via and not is_loopback(peer.via) else "ADDRESS"
            return (
                f"{host.id} reached the server over loopback, so {peer.id} cannot reach {host.id} at "
                f"{seen.address}: start {host.id} with --server {better}, as other hosts have it"
            )
    versions = [{seen.family for seen in each.endpoints} for each in (host, peer)]
    if all(versions) and not versions[0] & versions[1]:
        return (
            f"{host.id} reached the server over IPv{min(versions[0])} and {peer.id} over "
            f"IPv{min(versions[1])}, and hosts meet by one version: give both sides a --server "
            "address of the same one"
        )
    return None


def ports_at_random(first: Member, second: Member) -> str | None:
    """Why two hosts whose NATs both give ports at random do not meet; None if there may be another cause."""
    one, other = ({each.address for each in host.endpoints} for host in (first, second))
    if one & other or any(map(is_private, one | other)):
        return None
    return (
        f"the NATs of {first.id} and {second.id} both give each destination a port at random, so there is no direct "
        "path without guessing ports on both sides; a port forwarding, UPnP or IPv6 would change that"
    )


def no_path(first: Member, second: Member, heard: frozenset[str]) -> str:
    """The causes of an attempt without a path that fit what the server saw. `heard`: the ids of hosts that
    a HELLO of the other one reached."""
    one, other = (
        f"{each.id} ({' or '.join(map(str, each.endpoints))})" for each in (first, second)
    )
    if len(heard) == 1:
        deaf, listener = (first, second) if second.id in heard else (second, first)
        return (
            f"HELLOs of {deaf.id} reached {listener.id}, but none of {listener.id} came to {deaf.id}, "
            f"between {one} and {other}: the NAT or a firewall of {deaf.id} lets nothing of "
            f"{listener.id} in; a port forwarding or a more open NAT there helps"
        )
    none = f"no HELLO got through between {one} and {other}, with either side first"
    shared = {each.address for each in first.endpoints} & {
        each.address for each in second.endpoints
    }
    if shared:
        address = min(shared)
        hidden = f", or {_HIDDEN}" if is_private(address) else ""
        return (
            f"{none}: the server sees both at {address}. They are behind one NAT, which does not send "
            f"their packets back in (no hairpinning){hidden}"
        )
    for host, peer in ((first, second), (second, first)):
        inside = [each.address for each in host.endpoints if is_private(each.address)]
        if inside and not any(is_private(each.address) for each in peer.endpoints):
            return (
                f"{none}: the server sees {host.id} at the private address {inside[0]}, where "
                f"{peer.id} cannot reach it from outside; {host.id} needs a --server address outside "
                f"its network, or {_HIDDEN}"
            )
    return (
        f"{none}: their NATs allow no direct path without guessing ports. So it is where one gives every destination a "
        "port of its own (symmetric) and the other filters by port; a port forwarding or a more open "
        "NAT on one side helps. A firewall that drops UDP between them looks the same"
    )
