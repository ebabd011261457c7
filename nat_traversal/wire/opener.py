"""OPENER: a datagram to the peer that is to end on its way. It opens the sender's NAT, and nothing answers it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire.octets import MAC_BYTES, NO_MAC, TAG_BYTES, check_version, exactly

OPENER_KIND = 0xD0
"""Its first octet."""
MOST_HOPS = 10
"""Routers that one passes at most: a host's own NATs are nearer than that."""
_OPENER = struct.Struct("!BBBB8s16s")
OPENER_OCTETS = _OPENER.size


@dataclass(frozen=True, slots=True)
class Opener:
    """Host to host. A router sends ICMP time exceeded for it, which tells how far it has come."""

    tag: bytes
    """Of the round's token."""
    round: int
    """1 to 255."""
    hops: int
    """The IP header's time to live, or hop limit, with which it leaves: 1 to `MOST_HOPS`."""
    mac: bytes = NO_MAC


def pack_opener(opener: Opener) -> bytes:
    """Its octets. Raises `LocalProtocolError` or `struct.error` for a value that has no encoding."""
    return _OPENER.pack(
        OPENER_KIND,
        PROTOCOL_VERSION,
        opener.round,
        opener.hops,
        exactly(TAG_BYTES, opener.tag),
        exactly(MAC_BYTES, opener.mac),
    )


def unpack_opener(data: bytes) -> Opener:
    """Raises `WireError` for a value out of range, `struct.error` for a wrong length."""
    _, version, round_, hops, tag, mac = _OPENER.unpack(data)
    check_version(version)
    if round_ == 0:
        raise WireError("OPENER round 0: rounds count from 1")
    if not 1 <= hops <= MOST_HOPS:
        raise WireError(f"OPENER of {hops} hops: must be 1 to {MOST_HOPS}")
    return Opener(tag, round_, hops, mac)
