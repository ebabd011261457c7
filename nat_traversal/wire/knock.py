"""KNOCK: the server's datagram to a router's port that is said to lead to a host's socket."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire.octets import MAC_BYTES, NO_MAC, NONCE_BYTES, check_version, exactly

KIND = 0xCF
"""Its first octet."""
_KNOCK = struct.Struct("!BBH8s16s")


@dataclass(frozen=True, slots=True)
class Knock:
    """Server to client, where the client's router is said to lead: the client tells its nonce over TCP."""

    generation: int
    """The socket to which it has to come."""
    nonce: bytes
    mac: bytes = NO_MAC
    """Under the key that the client has registered with."""


def pack_knock(knock: Knock) -> bytes:
    """The octets of a KNOCK. Raises `LocalProtocolError` or `struct.error` for a value that has no encoding."""
    return _KNOCK.pack(
        KIND,
        PROTOCOL_VERSION,
        knock.generation,
        exactly(NONCE_BYTES, knock.nonce),
        exactly(MAC_BYTES, knock.mac),
    )


def unpack_knock(data: bytes) -> Knock:
    """Parse a KNOCK. Raises `WireError` for a value out of range, `struct.error` for a wrong length."""
    _, version, generation, nonce, mac = _KNOCK.unpack(data)
    check_version(version)
    if generation == 0:
        raise WireError("KNOCK generation 0: sockets count from 1")
    return Knock(generation, nonce, mac)
