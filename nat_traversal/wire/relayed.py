"""The datagrams of a relay: BIND and BOUND between a host and the server, LINK between the hosts through it.

Once both hosts are bound, the server hands every frame and LINK of the one to the other as it came. It adds
nothing: the frames' source tells the pair.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from nat_traversal.errors import WireError
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire.octets import (
    CONNECTION_BYTES,
    HANDLE_BYTES,
    MAC_BYTES,
    NO_MAC,
    NONCE_BYTES,
    TAG_BYTES,
    check_flags,
    check_version,
    exactly,
)


class RelayKind(IntEnum):
    """Their first octets."""

    BIND = 0xCB
    BOUND = 0xCC
    LINK = 0xCD


MAX_BIND = (1 << 32) - 1
"""The largest number of a BIND."""
_BIND = struct.Struct("!BBHI16s8s16s")
_BOUND = struct.Struct("!BBBHI8s16s")
_LINK = struct.Struct("!BBB8s8s8s4s16s")
LINK_OCTETS = _LINK.size


@dataclass(frozen=True, slots=True)
class Bind:
    """Client to server: hand on what comes from here. Without the server's nonce it only asks for that."""

    handle: bytes
    """Of the registration's key, as in ANNOUNCE."""
    relay: int
    """The relay's number, from the server's order."""
    number: int
    """Counted up by the client for this relay, from 1: none is taken twice."""
    echo: bytes = bytes(NONCE_BYTES)
    """The server's nonce for this source; zeros: not known yet."""
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Bound:
    """Server to client: the answer to one `Bind`, with the nonce for its source."""

    relay: int
    number: int
    """The BIND's."""
    stands: bool
    """The BIND has echoed the nonce: the source counts from now on."""
    nonce: bytes
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Link:
    """Host to host through the relay: proves the sender's key, and by the echo that the receiver is heard."""

    tag: bytes
    """Of the relay's token, as a round's."""
    answer_wanted: bool
    """The sender has no proof yet."""
    nonce: bytes
    echo: bytes = bytes(NONCE_BYTES)
    """The receiver's nonce as it came; zeros if none has."""
    connection: bytes = bytes(CONNECTION_BYTES)
    """Frames to the sender bear it."""
    mac: bytes = NO_MAC


def pack_bind(bind: Bind) -> bytes:
    """The octets of a BIND. Raises `LocalProtocolError` or `struct.error` for a value that has no encoding."""
    return _BIND.pack(
        RelayKind.BIND,
        PROTOCOL_VERSION,
        bind.relay,
        bind.number,
        exactly(HANDLE_BYTES, bind.handle),
        exactly(NONCE_BYTES, bind.echo),
        exactly(MAC_BYTES, bind.mac),
    )


def pack_bound(bound: Bound) -> bytes:
    """The octets of a BOUND; raises as `pack_bind`."""
    return _BOUND.pack(
        RelayKind.BOUND,
        PROTOCOL_VERSION,
        int(bound.stands),
        bound.relay,
        bound.number,
        exactly(NONCE_BYTES, bound.nonce),
        exactly(MAC_BYTES, bound.mac),
    )


def pack_link(link: Link) -> bytes:
    """The octets of a LINK; raises as `pack_bind`."""
    return _LINK.pack(
        RelayKind.LINK,
        PROTOCOL_VERSION,
        int(link.answer_wanted),
        exactly(TAG_BYTES, link.tag),
        exactly(NONCE_BYTES, link.nonce),
        exactly(NONCE_BYTES, link.echo),
        exactly(CONNECTION_BYTES, link.connection),
        exactly(MAC_BYTES, link.mac),
    )


def unpack_bind(data: bytes) -> Bind:
    """Parse a BIND. Raises `WireError` for a value out of range, `struct.error` for a wrong length."""
    _, version, relay, number, handle, echo, mac = _BIND.unpack(data)
    check_version(version)
    if relay == 0 or number == 0:
        raise WireError(f"BIND {number} of relay {relay}: both count from 1")
    return Bind(handle, relay, number, echo, mac)


def unpack_bound(data: bytes) -> Bound:
    """Parse a BOUND; raises as `unpack_bind`."""
    _, version, flags, relay, number, nonce, mac = _BOUND.unpack(data)
    check_version(version)
    check_flags("BOUND", flags)
    return Bound(relay, number, bool(flags), nonce, mac)


def unpack_link(data: bytes) -> Link:
    """Parse a LINK; raises as `unpack_bind`."""
    _, version, flags, tag, nonce, echo, connection, mac = _LINK.unpack(data)
    check_version(version)
    check_flags("LINK", flags)
    return Link(tag, bool(flags), nonce, echo, connection, mac)
