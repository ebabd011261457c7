"""Datagrams: encoding, and decoding with one documented error.

The first byte tells the kind. A HELLO begins with the ASCII word, so that a person sees it in a
capture. The others begin with a byte from 0xC1 up, outside the ranges of STUN, DTLS, TURN channels
and RTP (RFC 7983 section 7). So these protocols can share the socket later. All integers are big-endian.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire import PROTOCOL_VERSION, TOKEN_BYTES, TRANSACTION_BYTES
from nat_traversal.wire.endpoint import Endpoint


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
    FRAGMENT = 0xC8


HELLO_MAGIC = b"HELLO"
MAX_UDP_PAYLOAD = 65_507
"""Octets: 65,535 less the IPv4 and UDP headers."""
MAX_CANDIDATES = 2
"""Peer addresses in one ANNOUNCED. Bounds it to ANNOUNCE's size: the server never amplifies."""


@dataclass(frozen=True, slots=True)
class Hello:
    """One HELLO of the contract: `step` 1 and 3 come from role A, 2 from role B."""

    token: bytes
    """The round's token: 16 octets, new for every round."""
    round: int
    """1 to 255. Role A is the host that the server chose in odd rounds, the other in even ones."""
    step: int
    """1, 2 or 3."""
    heard: bool
    """The sender has received a HELLO of this round from the receiver."""
    copy: int = 0
    """0 for the first transmission of this step, then 1, 2, … (saturating at 255)."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """ "I hear you": ends the handshake. `answer_wanted` until the sender knows that it is heard too."""

    token: bytes
    round: int
    answer_wanted: bool
    copy: int = 0
    """The `Hello.copy` of the HELLO 3 that it answers: A then knows where it had sent that one."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Client to server: shows this socket's mapping, asks for the peer's address."""

    token: bytes
    """The registration's token (not a round's)."""
    transaction: bytes
    generation: int
    """Which of the client's sockets this is: 1, 2, …; a fresh socket has a higher number."""


@dataclass(frozen=True, slots=True)
class Announced:
    """Server to client: the answer to one `Announce`."""

    transaction: bytes
    mapped: Endpoint
    """The external endpoint that the server saw (server-reflexive, RFC 8445 section 4)."""
    peer: tuple[Endpoint, ...] = ()
    """The peer's endpoints; empty while the server does not know them."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Peer to peer: keepalive and consent check (RFC 7675 section 5.1) in one."""

    token: bytes
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to one `Ping`."""

    token: bytes
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Bye:
    """The sender closes the path on purpose."""

    token: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """One datagram of a user's program."""

    tag: bytes
    """The first 4 octets of the round's token."""
    flow: int
    """Which local program: 32 bits, numbered by the side that listens and not used again soon."""
    from_listener: bool
    """The direction: listening side to connecting side, or back."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """Half of a datagram that leaves no room for `Data`'s header."""

    tag: bytes
    flow: int
    from_listener: bool
    number: int
    """Pairs the two halves: 0 to 65,535, wrapping, counted per path."""
    last: bool
    payload: bytes


Datagram = Hello | Confirm | Announce | Announced | Ping | Pong | Bye | Data | Fragment

_HELLO = struct.Struct(f"!5sBBBBB{TOKEN_BYTES}s")
_CONFIRM = struct.Struct(f"!BBBBB{TOKEN_BYTES}s")
_ANNOUNCE = struct.Struct(f"!BBH{TRANSACTION_BYTES}s{TOKEN_BYTES}s44x")
_ANNOUNCED = struct.Struct(f"!BBH{TRANSACTION_BYTES}s")
_PROBE = struct.Struct(f"!BBxx{TRANSACTION_BYTES}s{TOKEN_BYTES}s")
_BYE = struct.Struct(f"!BBxx{TOKEN_BYTES}s")
_ENDPOINT = struct.Struct("!BxH16s")
DATA_HEADER = struct.Struct("!BB4sI")
"""kind, flags, tag, flow. The forwarder reads it in place."""
FRAGMENT_HEADER = struct.Struct("!BB4sIH")
"""The same and the number."""
TAG_BYTES = 4
FLAG = 0x01
"""HELLO: heard. CONFIRM: answer wanted. DATA, FRAGMENT: from the listening side."""
FLAG_LAST = 0x02
"""FRAGMENT: the second half."""
MAX_DATA_PAYLOAD = MAX_UDP_PAYLOAD - DATA_HEADER.size
"""Octets that fit into one DATA; a user's datagram may have a few more, and goes as two FRAGMENTs."""


def tag_of(token: bytes) -> bytes:
    """The short form of a token that every DATA carries: enough against blind injection, 4 octets."""
    return token[:TAG_BYTES]


def encode(datagram: Datagram) -> bytes:
    """The octets of `datagram`. Raises `LocalProtocolError` for a value that has no encoding."""
    try:
        return _encode(datagram)
    except struct.error as error:
        raise LocalProtocolError(f"{datagram!r} cannot be encoded: {error}") from error


def _encode(datagram: Datagram) -> bytes:
    version = PROTOCOL_VERSION
    match datagram:
        case Hello(token, round_, step, heard, copy):
            return _HELLO.pack(
                HELLO_MAGIC, version, step, int(heard), round_, min(copy, 255), _token(token)
            )
        case Confirm(token, round_, answer_wanted, copy):
            return _CONFIRM.pack(
                Kind.CONFIRM, version, int(answer_wanted), round_, min(copy, 255), _token(token)
            )
        case Announce(token, transaction, generation):
            return _ANNOUNCE.pack(
                Kind.ANNOUNCE, version, generation, _transaction(transaction), _token(token)
            )
        case Announced(transaction, mapped, peer):
            if len(peer) > MAX_CANDIDATES:
                raise LocalProtocolError(f"{len(peer)} peer endpoints: at most {MAX_CANDIDATES}")
            head = _ANNOUNCED.pack(Kind.ANNOUNCED, version, len(peer), _transaction(transaction))
            return head + b"".join(map(_pack_endpoint, (mapped, *peer)))
        case Ping(token, transaction):
            return _PROBE.pack(Kind.PING, version, _transaction(transaction), _token(token))
        case Pong(token, transaction):
            return _PROBE.pack(Kind.PONG, version, _transaction(transaction), _token(token))
        case Bye(token):
            return _BYE.pack(Kind.BYE, version, _token(token))
        case Data(tag, flow, from_listener, payload):
            return DATA_HEADER.pack(Kind.DATA, int(from_listener), _tag(tag), flow) + payload
        case Fragment(tag, flow, from_listener, number, last, payload):
            flags = int(from_listener) | (FLAG_LAST if last else 0)
            return FRAGMENT_HEADER.pack(Kind.FRAGMENT, flags, _tag(tag), flow, number) + payload


def decode(data: bytes) -> Datagram:
    """Parse one received datagram.

    Raises `WireError` for anything that `docs/protocol.md` does not define: an unknown kind or
    version, a wrong length, a value out of range. Never raises anything else.
    """
    if not data:
        raise WireError("empty datagram")
    try:
        kind = Kind(data[0])
    except ValueError:
        raise WireError(f"unknown datagram kind 0x{data[0]:02x}") from None
    try:
        return _DECODERS[kind](data)
    except struct.error:
        raise WireError(f"{kind.name} of {len(data)} octets: wrong length") from None


def _decode_hello(data: bytes) -> Hello:
    magic, version, step, flags, round_, copy, token = _HELLO.unpack(data)
    if magic != HELLO_MAGIC:
        raise WireError("unknown datagram kind: begins with H but not with HELLO")
    _check_version(version)
    if step not in (1, 2, 3):
        raise WireError(f"HELLO step {step}: must be 1, 2 or 3")
    if round_ == 0:
        raise WireError("HELLO round 0: rounds count from 1")
    return Hello(token, round_, step, bool(flags & FLAG), copy)


def _decode_confirm(data: bytes) -> Confirm:
    _, version, flags, round_, copy, token = _CONFIRM.unpack(data)
    _check_version(version)
    if round_ == 0:
        raise WireError("CONFIRM round 0: rounds count from 1")
    return Confirm(token, round_, bool(flags & FLAG), copy)


def _decode_announce(data: bytes) -> Announce:
    _, version, generation, transaction, token = _ANNOUNCE.unpack(data)
    _check_version(version)
    if generation == 0:
        raise WireError("ANNOUNCE generation 0: sockets count from 1")
    return Announce(token, transaction, generation)


def _decode_announced(data: bytes) -> Announced:
    _, version, peers, transaction = _ANNOUNCED.unpack_from(data)
    _check_version(version)
    if peers > MAX_CANDIDATES:
        raise WireError(f"ANNOUNCED with {peers} peer endpoints: at most {MAX_CANDIDATES}")
    if len(data) != _ANNOUNCED.size + (1 + peers) * _ENDPOINT.size:
        raise WireError(f"ANNOUNCED of {len(data)} octets: wrong length for {peers} peer endpoints")
    mapped, *rest = (
        _unpack_endpoint(data, _ANNOUNCED.size + index * _ENDPOINT.size)
        for index in range(1 + peers)
    )
    return Announced(transaction, mapped, tuple(rest))


def _decode_ping(data: bytes) -> Ping:
    _, version, transaction, token = _PROBE.unpack(data)
    _check_version(version)
    return Ping(token, transaction)


def _decode_pong(data: bytes) -> Pong:
    _, version, transaction, token = _PROBE.unpack(data)
    _check_version(version)
    return Pong(token, transaction)


def _decode_bye(data: bytes) -> Bye:
    _, version, token = _BYE.unpack(data)
    _check_version(version)
    return Bye(token)


def _decode_data(data: bytes) -> Data:
    _, flags, tag, flow = DATA_HEADER.unpack_from(data)
    return Data(tag, flow, bool(flags & FLAG), data[DATA_HEADER.size :])


def _decode_fragment(data: bytes) -> Fragment:
    _, flags, tag, flow, number = FRAGMENT_HEADER.unpack_from(data)
    payload = data[FRAGMENT_HEADER.size :]
    return Fragment(tag, flow, bool(flags & FLAG), number, bool(flags & FLAG_LAST), payload)


_DECODERS: dict[Kind, Callable[[bytes], Datagram]] = {
    Kind.HELLO: _decode_hello,
    Kind.CONFIRM: _decode_confirm,
    Kind.ANNOUNCE: _decode_announce,
    Kind.ANNOUNCED: _decode_announced,
    Kind.PING: _decode_ping,
    Kind.PONG: _decode_pong,
    Kind.BYE: _decode_bye,
    Kind.DATA: _decode_data,
    Kind.FRAGMENT: _decode_fragment,
}


def _check_version(version: int) -> None:
    if version != PROTOCOL_VERSION:
        raise WireError(f"datagram version {version}: this side speaks {PROTOCOL_VERSION}")


def _token(token: bytes) -> bytes:
    if len(token) != TOKEN_BYTES:  # struct would pad or cut it in silence
        raise LocalProtocolError(f"a token has {TOKEN_BYTES} octets, not {len(token)}")
    return token


def _transaction(transaction: bytes) -> bytes:
    if len(transaction) != TRANSACTION_BYTES:
        raise LocalProtocolError(
            f"a transaction id has {TRANSACTION_BYTES} octets, not {len(transaction)}"
        )
    return transaction


def _tag(tag: bytes) -> bytes:
    if len(tag) != TAG_BYTES:
        raise LocalProtocolError(f"a tag has {TAG_BYTES} octets, not {len(tag)}")
    return tag


def _pack_endpoint(endpoint: Endpoint) -> bytes:
    packed = ipaddress.ip_address(endpoint.address).packed
    return _ENDPOINT.pack(endpoint.family, endpoint.port, packed)


def _unpack_endpoint(data: bytes, offset: int) -> Endpoint:
    family, port, packed = _ENDPOINT.unpack_from(data, offset)
    if family not in (4, 6):
        raise WireError(f"address family {family}: must be 4 or 6")
    address = ipaddress.ip_address(packed[:4] if family == 4 else packed)
    return Endpoint(str(address), port)
