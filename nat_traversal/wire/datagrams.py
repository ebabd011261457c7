"""Datagrams: encoding, and decoding with one documented error.

The first byte tells the kind. A HELLO begins with the ASCII word, so that a person sees it in a
capture. The others begin with a byte from 0xC1 up, outside the ranges of STUN, DTLS, TURN channels
and RTP (RFC 7983 section 7). So these protocols can share the socket later. All integers are big-endian.

ANNOUNCE, ANNOUNCED, ECHO and SAMPLE, HELLO, CONFIRM and OPENER end with a MAC over all before it: `signed_part` gives that.
All else between the hosts are frames (`nat_traversal.crypto.frames`), which only their keys open.
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire import PROTOCOL_VERSION, knock, opener, relayed, samples
from nat_traversal.wire.addresses import octets_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock, pack_knock, unpack_knock
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
from nat_traversal.wire.opener import Opener, pack_opener, unpack_opener
from nat_traversal.wire.relayed import Bind, Bound, Link
from nat_traversal.wire.samples import Sample, pack_sample, unpack_sample


class Kind(IntEnum):
    """The first byte of a datagram."""

    HELLO = 0x48  # "H"
    ANNOUNCE = 0xC1
    ANNOUNCED = 0xC2
    CONFIRM = 0xC3
    PING = 0xC4
    PONG = 0xC5
    BYE = 0xC6
    DATA = 0xC7
    BUNDLE = 0xC8
    CONTROL = 0xC9
    ECHO = 0xCA
    BIND = relayed.RelayKind.BIND
    BOUND = relayed.RelayKind.BOUND
    LINK = relayed.RelayKind.LINK
    SAMPLE = samples.SAMPLE_KIND
    KNOCK = knock.KIND
    OPENER = opener.OPENER_KIND


FRAMES = frozenset({Kind.PING, Kind.PONG, Kind.BYE, Kind.DATA, Kind.BUNDLE, Kind.CONTROL})
"""The kinds that travel as frames, once a path stands."""
RELAYED = FRAMES | {Kind.LINK}
"""The kinds that a relay hands on."""
PROGRAMS = frozenset({Kind.DATA, Kind.BUNDLE})
"""Of these, the ones that carry programs' datagrams."""
HELLO_MAGIC = b"HELLO"
MAX_UDP_PAYLOAD = 65_507
"""Octets: 65,535 less the IPv4 and UDP headers."""
MAX_CANDIDATES = 2
"""Peer addresses in one ANNOUNCED. Bounds it to ANNOUNCE's size: the server never amplifies."""
MAX_ANNOUNCE = (1 << 48) - 1
"""The largest number of an ANNOUNCE."""
MIN_FRAME = 11
"""Octets of a frame's header."""


@dataclass(frozen=True, slots=True)
class Hello:
    """One HELLO of the contract: `step` 1 and 3 come from role A, 2 from role B."""

    tag: bytes
    """Of the round's token: `tag_of`."""
    round: int
    """1 to 255. Role A is the host that the server chose in odd rounds, the other in even ones."""
    step: int
    """1, 2 or 3."""
    heard: bool
    """The sender has received a HELLO of this round from the receiver."""
    copy: int = 0
    """0 for the first transmission of this step, then 1, 2, … (saturating at 255)."""
    nonce: bytes = bytes(NONCE_BYTES)
    """The receiver's next words echo it: that proves that this HELLO arrived."""
    echo: bytes = bytes(NONCE_BYTES)
    """The receiver's nonce, as it came last from there; zeros if none has."""
    connection: bytes = bytes(CONNECTION_BYTES)
    """Frames to the sender bear it."""
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Confirm:
    """ "I hear you": ends the handshake. `answer_wanted` until the sender knows that it is heard too."""

    tag: bytes
    round: int
    answer_wanted: bool
    copy: int = 0
    """The `Hello.copy` of the HELLO 3 that it answers."""
    nonce: bytes = bytes(NONCE_BYTES)
    echo: bytes = bytes(NONCE_BYTES)
    connection: bytes = bytes(CONNECTION_BYTES)
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Announce:
    """Client to server: shows this socket's mapping, asks for the peer's address."""

    handle: bytes
    """Of the registration's key: `handle_of`. No secret."""
    number: int
    """Counted up by the client, 1 to `MAX_ANNOUNCE`: none is taken twice."""
    generation: int
    """Which of the client's sockets this is: 1, 2, …; a fresh socket has a higher number."""
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Announced:
    """Server to client: the answer to one `Announce`."""

    number: int
    mapped: Endpoint
    """The external endpoint that the server saw (server-reflexive, RFC 8445 section 4)."""
    peer: tuple[Endpoint, ...] = ()
    """The peer's endpoints; empty while the server does not know them."""
    nonce: bytes = bytes(NONCE_BYTES)
    """To be echoed, which shows that the client receives at `mapped`; zeros: it has shown that."""
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Echo:
    """Client to server: the nonce of an `Announced`, from the socket that it came to. Nothing answers it."""

    handle: bytes
    number: int
    """Of the announce, and of its answer."""
    nonce: bytes
    mac: bytes = NO_MAC


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, still sealed."""

    kind: Kind
    octets: bytes


Signed = (
    Hello | Confirm | Announce | Announced | Echo | Bind | Bound | Link | Sample | Knock | Opener
)
Datagram = Signed | Frame

_HELLO = struct.Struct("!5sBBBBB8s8s8s4s16s")
_CONFIRM = struct.Struct("!BBBBB8s8s8s4s16s")
_ANNOUNCE = struct.Struct("!BBHHI16s52x16s")
_ANNOUNCED = struct.Struct("!BBHHI8s")
_ECHO = struct.Struct("!BBHI16s8s16s")
_ENDPOINT = struct.Struct("!BxH16s")
HELLO_OCTETS = _HELLO.size
CONFIRM_OCTETS = _CONFIRM.size


def tag_of(token: bytes) -> bytes:
    """The short public form of a round's token that HELLO and CONFIRM bear: 8 octets."""
    return hashlib.sha256(b"nat-traversal round" + token).digest()[:TAG_BYTES]


def handle_of(key: bytes) -> bytes:
    """The public form of a registration's key that ANNOUNCE bears: 16 octets."""
    return hashlib.sha256(b"nat-traversal announce" + key).digest()[:HANDLE_BYTES]


def signed_part(datagram: Signed) -> bytes:
    """The octets that the datagram's MAC is over: all but the MAC."""
    return encode(datagram)[:-MAC_BYTES]


def encode(datagram: Datagram) -> bytes:
    """The octets of `datagram`. Raises `LocalProtocolError` for a value that has no encoding."""
    try:
        return _encode(datagram)
    except struct.error as error:
        raise LocalProtocolError(f"{datagram!r} cannot be encoded: {error}") from error


def _encode(datagram: Datagram) -> bytes:
    version = PROTOCOL_VERSION
    match datagram:
        case Hello(tag, round_, step, heard, copy, nonce, echo, connection, mac):
            return _HELLO.pack(
                HELLO_MAGIC,
                version,
                step,
                int(heard),
                round_,
                min(copy, 255),
                exactly(TAG_BYTES, tag),
                exactly(NONCE_BYTES, nonce),
                exactly(NONCE_BYTES, echo),
                exactly(CONNECTION_BYTES, connection),
                exactly(MAC_BYTES, mac),
            )
        case Confirm(tag, round_, answer_wanted, copy, nonce, echo, connection, mac):
            return _CONFIRM.pack(
                Kind.CONFIRM,
                version,
                int(answer_wanted),
                round_,
                min(copy, 255),
                exactly(TAG_BYTES, tag),
                exactly(NONCE_BYTES, nonce),
                exactly(NONCE_BYTES, echo),
                exactly(CONNECTION_BYTES, connection),
                exactly(MAC_BYTES, mac),
            )
        case Announce(handle, number, generation, mac):
            return _ANNOUNCE.pack(
                Kind.ANNOUNCE,
                version,
                generation,
                number >> 32,
                number & 0xFFFF_FFFF,
                exactly(HANDLE_BYTES, handle),
                exactly(MAC_BYTES, mac),
            )
        case Announced(number, mapped, peer, nonce, mac):
            if len(peer) > MAX_CANDIDATES:
                raise LocalProtocolError(f"{len(peer)} peer endpoints: at most {MAX_CANDIDATES}")
            head = _ANNOUNCED.pack(
                Kind.ANNOUNCED,
                version,
                len(peer),
                number >> 32,
                number & 0xFFFF_FFFF,
                exactly(NONCE_BYTES, nonce),
            )
            endpoints = b"".join(map(_pack_endpoint, (mapped, *peer)))
            return head + endpoints + exactly(MAC_BYTES, mac)
        case Echo(handle, number, nonce, mac):
            return _ECHO.pack(
                Kind.ECHO,
                version,
                number >> 32,
                number & 0xFFFF_FFFF,
                exactly(HANDLE_BYTES, handle),
                exactly(NONCE_BYTES, nonce),
                exactly(MAC_BYTES, mac),
            )
        case Bind():
            return relayed.pack_bind(datagram)
        case Bound():
            return relayed.pack_bound(datagram)
        case Link():
            return relayed.pack_link(datagram)
        case Sample():
            return pack_sample(datagram)
        case Knock():
            return pack_knock(datagram)
        case Opener():
            return pack_opener(datagram)
        case Frame(_, octets):
            return octets


def decode(data: bytes) -> Datagram:
    """Parse one received datagram.

    Raises `WireError` for anything that `docs/protocol.md` does not define: an unknown kind or
    version, a wrong length, a value out of range. Never raises anything else.
    """
    if not data:
        raise WireError("empty datagram")
    kind = _KINDS.get(data[0])
    if kind is None:
        raise WireError(f"unknown datagram kind 0x{data[0]:02x}")
    if kind in FRAMES:
        if len(data) < MIN_FRAME:
            raise WireError(f"{kind.name} of {len(data)} octets: shorter than a frame's header")
        return Frame(kind, data)
    try:
        return _DECODERS[kind](data)
    except struct.error:
        raise WireError(f"{kind.name} of {len(data)} octets: wrong length") from None


def _decode_hello(data: bytes) -> Hello:
    magic, version, step, flags, round_, copy, tag, nonce, echo, connection, mac = _HELLO.unpack(
        data
    )
    if magic != HELLO_MAGIC:
        raise WireError("unknown datagram kind: begins with H but not with HELLO")
    check_version(version)
    if step not in (1, 2, 3):
        raise WireError(f"HELLO step {step}: must be 1, 2 or 3")
    check_flags("HELLO", flags)
    if round_ == 0:
        raise WireError("HELLO round 0: rounds count from 1")
    return Hello(tag, round_, step, bool(flags), copy, nonce, echo, connection, mac)


def _decode_confirm(data: bytes) -> Confirm:
    _, version, flags, round_, copy, tag, nonce, echo, connection, mac = _CONFIRM.unpack(data)
    check_version(version)
    check_flags("CONFIRM", flags)
    if round_ == 0:
        raise WireError("CONFIRM round 0: rounds count from 1")
    return Confirm(tag, round_, bool(flags), copy, nonce, echo, connection, mac)


def _decode_announce(data: bytes) -> Announce:
    _, version, generation, high, low, handle, mac = _ANNOUNCE.unpack(data)
    check_version(version)
    if generation == 0:
        raise WireError("ANNOUNCE generation 0: sockets count from 1")
    if not (high or low):
        raise WireError("ANNOUNCE number 0: announces count from 1")
    return Announce(handle, high << 32 | low, generation, mac)


def _decode_announced(data: bytes) -> Announced:
    _, version, peers, high, low, nonce = _ANNOUNCED.unpack_from(data)
    check_version(version)
    if peers > MAX_CANDIDATES:
        raise WireError(f"ANNOUNCED with {peers} peer endpoints: at most {MAX_CANDIDATES}")
    if len(data) != _ANNOUNCED.size + (1 + peers) * _ENDPOINT.size + MAC_BYTES:
        raise WireError(f"ANNOUNCED of {len(data)} octets: wrong length for {peers} peer endpoints")
    mapped, *rest = (
        _unpack_endpoint(data, _ANNOUNCED.size + index * _ENDPOINT.size)
        for index in range(1 + peers)
    )
    return Announced(high << 32 | low, mapped, tuple(rest), nonce, data[-MAC_BYTES:])


def _decode_echo(data: bytes) -> Echo:
    _, version, high, low, handle, nonce, mac = _ECHO.unpack(data)
    check_version(version)
    return Echo(handle, high << 32 | low, nonce, mac)


_KINDS = {kind.value: kind for kind in Kind}
_DECODERS: dict[Kind, Callable[[bytes], Datagram]] = {
    Kind.HELLO: _decode_hello,
    Kind.CONFIRM: _decode_confirm,
    Kind.ANNOUNCE: _decode_announce,
    Kind.ANNOUNCED: _decode_announced,
    Kind.ECHO: _decode_echo,
    Kind.BIND: relayed.unpack_bind,
    Kind.BOUND: relayed.unpack_bound,
    Kind.LINK: relayed.unpack_link,
    Kind.SAMPLE: unpack_sample,
    Kind.KNOCK: unpack_knock,
    Kind.OPENER: unpack_opener,
}


def _pack_endpoint(endpoint: Endpoint) -> bytes:
    return _ENDPOINT.pack(endpoint.family, endpoint.port, octets_of(endpoint.address))


def _unpack_endpoint(data: bytes, offset: int) -> Endpoint:
    family, port, packed = _ENDPOINT.unpack_from(data, offset)
    if family not in (4, 6):
        raise WireError(f"address family {family}: must be 4 or 6")
    address = ipaddress.ip_address(packed[:4] if family == 4 else packed)
    return Endpoint(str(address), port)
