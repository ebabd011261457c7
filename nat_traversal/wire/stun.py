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
MOST_REQUEST = 548
"""Octets of the longest request that is read: longer ones need no answer (RFC 8489 section 6.1 has 576 with headers)."""
BINDING_REQUEST, BINDING_RESPONSE, BINDING_ERROR = 0x0001, 0x0101, 0x0111
MAPPED_ADDRESS, CHANGE_REQUEST, ERROR_CODE = 0x0001, 0x0003, 0x0009
UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS = 0x000A, 0x0020
UNKNOWN_ATTRIBUTE = 420
"""The error for an attribute that has to be understood, and is not (RFC 8489 section 14.8)."""
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_UNDERSTOOD = frozenset({0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001E})
"""Credentials and integrity (RFC 8489 section 14). A server without users answers as if there were none."""
_REASON = b"Unknown Attribute"
_MOST_UNKNOWN = 8


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """The question for one's own address."""

    cookie: int
    """`COOKIE`, or any other number from a client of RFC 3489."""
    transaction: bytes
    """12 octets."""
    unknown: tuple[int, ...] = ()
    """The attributes in it that the server would have to understand, and does not."""

    @property
    def is_classic(self) -> bool:
        """It is one of RFC 3489."""
        return self.cookie != COOKIE


@dataclass(frozen=True, slots=True)
class BindingResponse:
    """The answer to a `BindingRequest`, as it came from `mapped`."""

    request: BindingRequest
    mapped: Endpoint


def is_stun(data: bytes | memoryview) -> bool:
    """Whether a datagram has the form of STUN (RFC 7983 section 7), and no more: a cheap look."""
    return (
        HEADER <= len(data) <= MOST_REQUEST
        and data[0] < 4
        and data[2] << 8 | data[3] == len(data) - HEADER
    )


def decode(data: bytes) -> BindingRequest:
    """Parse one datagram. Raises `WireError` for all but a Binding request."""
    if not is_stun(data):
        raise WireError(f"no STUN message in {len(data)} octets")
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if kind != BINDING_REQUEST:
        raise WireError(f"STUN message 0x{kind:04x}: only Binding requests are answered")
    if length % 4:
        raise WireError(f"STUN message of {length} octets: they come in fours")
    is_classic = cookie != COOKIE
    at, unknown = HEADER, list[int]()
    while at < len(data):
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        value = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
        if at > len(data):
            raise WireError(f"STUN attribute 0x{attribute:04x} is longer than its message")
        if is_classic and attribute == CHANGE_REQUEST and not any(value):
            continue  # it asks for no change
        if attribute < 0x8000 and attribute not in _UNDERSTOOD:
            unknown.append(attribute)
    return BindingRequest(cookie, transaction, tuple(unknown[:_MOST_UNKNOWN]))


def encode(response: BindingResponse) -> bytes | None:
    """The octets of `response`: at most 64. None where RFC 3489 knows no answer that would not mislead.

    A client of RFC 3489 that asks for an answer from another address takes any answer for one from there.
    """
    request = response.request
    if not request.unknown:
        form = MAPPED_ADDRESS if request.is_classic else XOR_MAPPED_ADDRESS
        return _message(request, BINDING_RESPONSE, _address(form, request, response.mapped))
    if request.is_classic:
        return None
    count = len(request.unknown)
    error = struct.pack("!HBB", 0, *divmod(UNKNOWN_ATTRIBUTE, 100)) + _REASON
    unknown = struct.pack(f"!{count}H", *request.unknown)
    attributes = _attribute(ERROR_CODE, error) + _attribute(UNKNOWN_ATTRIBUTES, unknown)
    return _message(request, BINDING_ERROR, attributes)


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
