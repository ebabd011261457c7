"""Whether two hosts that name each other may know of each other: by the keys that each demands. Pure."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.wire import INSTANCE_BYTES
from nat_traversal.wire.messages import Mismatch, Register
from nat_traversal.wire.offers import Suite, Trust

_WITH_IDENTITY = (Trust.IDENTITY, Trust.BOTH)


def is_met(host: Register, peer: Register) -> bool:
    """Whether `peer` offers all that `host` demands of it. A shared key shows only between the hosts."""
    ours, theirs = host.offer, peer.offer
    if (Suite.NONE in ours.suites) != (Suite.NONE in theirs.suites):
        return False
    if not set(ours.suites) & set(theirs.suites) or ours.trust is not theirs.trust:
        return False
    return ours.trust not in _WITH_IDENTITY or host.peer_key == theirs.identity


def match(host: Register, peer: Register) -> bool:
    """Whether they name each other, and each offers what the other demands."""
    return named(host, peer) and is_met(host, peer) and is_met(peer, host)


def named(host: Register, peer: Register) -> bool:
    """Whether they name each other."""
    return (host.id, host.peer) == (peer.peer, peer.id)


def mismatch(peer: Register) -> Mismatch:
    """The word to a host about a `peer` that does not offer what the host demands: that, and no more."""
    return Mismatch(replace(peer.offer, instance=bytes(INSTANCE_BYTES), public=b""))
