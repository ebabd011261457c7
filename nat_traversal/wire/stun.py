"""STUN's Binding method as far as a server answers it: one request in, one response out (RFC 8489).

Requests of RFC 3489, which have no magic cookie, are known too: Debian's `stun` and pystun3 send them.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire.endpoint import Endpoint

COOKIE = 0x2112A442
"""The magic cookie (RFC 8489 section 5)."""
HEADER = 20
"""Octets of a header (RFC 8489 section 5)."""
MOST_REQUEST = 8972
"""Octets of the longest request that is read: what a jumbo frame of Ethernet carries, so that a path's MTU can be asked for."""
BINDING_REQUEST, BINDING_RESPONSE, BINDING_ERROR = 0x0001, 0x0101, 0x0111
MAPPED_ADDRESS, CHANGE_REQUEST, ERROR_CODE = 0x0001, 0x0003, 0x0009
UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS = 0x000A, 0x0020
SOURCE_ADDRESS, CHANGED_ADDRESS = 0x0004, 0x0005
"""RFC 3489 sections 11.2.5 and 11.2.3."""
RESPONSE_PORT, RESPONSE_ORIGIN, OTHER_ADDRESS = 0x0027, 0x802B, 0x802C
"""RFC 5780 section 7."""
CHANGE_ADDRESS_FLAG, CHANGE_PORT_FLAG = 4, 2
"""In the value of CHANGE-REQUEST (RFC 5780 section 7.2)."""
UNKNOWN_ATTRIBUTE = 420
"""The error for an attribute that has to be understood, and is not (RFC 8489 section 14.8)."""
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_UNDERSTOOD = frozenset({0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001E})
"""Credentials and integrity (RFC 8489 section 14). A server without users answers as if there were none."""
_REASON = b"Unknown Attribute"
_MOST_UNKNOWN = 8
_MOST_ATTRIBUTES = 32
"""In a request that is read: to look at thousands would cost more than to answer."""


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """The question for one's own address."""

    cookie: int
    """`COOKIE`, or any other number from a client of RFC 3489."""
    transaction: bytes
    """12 octets."""
    unknown: tuple[int, ...] = ()
    """The attributes in it that the server would have to understand, and does not."""
    change_address: bool = False
    change_port: bool = False
    """CHANGE-REQUEST: answer from the other address, from the other port (RFC 5780 section 7.2)."""
    response_port: int | None = None
    """RESPONSE-PORT: answer to this port of the source (RFC 5780 section 7.5)."""
    octets: int = 0
    """Length of the request."""

    @property
    def is_classic(self) -> bool:
        """It is one of RFC 3489."""
        return self.cookie != COOKIE


@dataclass(frozen=True, slots=True)
class BindingResponse:
    """The answer to a `BindingRequest`, as it came from `mapped`.

    A server with an alternate address says from where it answers, `origin`, and where both its address
    and its port are others, `other`.
    """

    request: BindingRequest
    mapped: Endpoint
    origin: Endpoint | None = None
    other: Endpoint | None = None


def is_stun(data: bytes | memoryview) -> bool:
    """Whether a datagram has the form of STUN (RFC 7983 section 7), and no more: a cheap look."""
    return (
        HEADER <= len(data) <= MOST_REQUEST
        and data[0] < 4
        and data[2] << 8 | data[3] == len(data) - HEADER
    )


def decode(data: bytes, *, has_alternate: bool = False) -> BindingRequest:
    """Parse one datagram. Raises `WireError` for all but a Binding request.

    Without `has_alternate`, the attributes of RFC 5780 are some that the server does not understand.
    """
    if not is_stun(data):
        raise WireError(f"no STUN message in {len(data)} octets")
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != BINDING_REQUEST:
        raise WireError(f"STUN message 0x{kind:04x}: only Binding requests are answered")
    if length % 4:
        raise WireError(f"STUN message of {length} octets: they come in fours")
    is_classic = cookie != COOKIE
    at, unknown, count = HEADER, list[int](), 0
    change, response_port = 0, None
    while at < len(data):
        count += 1
        if count > _MOST_ATTRIBUTES:
            raise WireError(f"STUN message of more than {_MOST_ATTRIBUTES} attributes")
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
        if at > len(data):
            raise WireError(f"STUN attribute 0x{attribute:04x} is longer than its message")
        if is_classic and attribute == CHANGE_REQUEST and not any(value):
            continue  # it asks for no change
        if has_alternate and attribute == CHANGE_REQUEST and size == 4:
            change = value[3]
            continue
        if has_alternate and attribute == RESPONSE_PORT and size in (2, 4):
            response_port = int.from_bytes(value[:2], "big")
            continue
        if attribute < 0x8000 and attribute not in _UNDERSTOOD:
            unknown.append(attribute)
    return BindingRequest(
        cookie,
        transaction,
        tuple(unknown[:_MOST_UNKNOWN]),
        bool(change & CHANGE_ADDRESS_FLAG),
        bool(change & CHANGE_PORT_FLAG),
        response_port,
        len(data),
    )


def encode(response: BindingResponse) -> bytes | None:
    """The octets of `response`: with the headers of IP and UDP at most twice its request's. None where RFC 3489 knows no answer that would not mislead.

    A client of RFC 3489 that asks for an answer from another address takes any answer for one from there.
    """
    request = response.request
    if not request.unknown:
        return _message(request, BINDING_RESPONSE, _addresses(response))
    if request.is_classic:
        return None
    count = len(request.unknown)
    error = struct.pack("!HBB", 0, *divmod(UNKNOWN_ATTRIBUTE, 100)) + _REASON
    unknown = struct.pack(f"!{count}H", *request.unknown)
    attributes = _attribute(ERROR_CODE, error) + _attribute(UNKNOWN_ATTRIBUTES, unknown)
    return _message(request, BINDING_ERROR, attributes)


def _addresses(response: BindingResponse) -> bytes:
    """The attributes of a success, the less useful ones only where there is room for them."""
    request = response.request
    is_classic = request.is_classic
    form = MAPPED_ADDRESS if is_classic else XOR_MAPPED_ADDRESS
    octets = _address(form, request, response.mapped)
    headers = 28 if response.mapped.family == 4 else 48
    room = 2 * (request.octets + headers) - headers - HEADER
    for kind, endpoint in (
        (CHANGED_ADDRESS if is_classic else OTHER_ADDRESS, response.other),
        (SOURCE_ADDRESS if is_classic else RESPONSE_ORIGIN, response.origin),
    ):
        if endpoint is not None:
            attribute = _address(kind, request, endpoint)
            octets += attribute if len(octets) + len(attribute) <= room else b""
    return octets


def _message(request: BindingRequest, kind: int, attributes: bytes) -> bytes:
    return _HEADER.pack(kind, len(attributes), request.cookie, request.transaction) + attributes


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def _address(form: int, request: BindingRequest, mapped: Endpoint) -> bytes:
    """RFC 8489 sections 14.1 and 14.2."""
    octets = ipaddress.ip_address(mapped.address).packed
    port = mapped.port
    if form == XOR_MAPPED_ADDRESS:
        mask = COOKIE.to_bytes(4, "big") + request.transaction
        octets = bytes(a ^ b for a, b in zip(octets, mask, strict=False))
        port ^= COOKIE >> 16
    return _attribute(form, struct.pack("!BBH", 0, 1 if mapped.family == 4 else 2, port) + octets)
