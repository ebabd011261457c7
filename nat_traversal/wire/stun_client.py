"""STUN's Binding method as a client asks it, with what RFC 5780 adds: requests out, answers in."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire import stun
from nat_traversal.wire.endpoint import Endpoint

TRANSACTION_OCTETS = 12
_FILLER = 0xFFFE
"""An attribute that nobody has to understand and IANA has not given out: it makes a request longer."""
_ERROR = struct.Struct("!HBB")


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's words: success with `mapped`, or an `error` (RFC 8489 section 14.8)."""

    transaction: bytes
    mapped: Endpoint | None
    """The source of the request, as the server saw it."""
    other: Endpoint | None = None
    """OTHER-ADDRESS: where both address and port of the server are others (RFC 5780 section 7.4)."""
    error: int = 0
    """Such as 420; 0 for a success."""


def request(
    transaction: bytes,
    *,
    change_address: bool = False,
    change_port: bool = False,
    response_port: int | None = None,
    octets: int = 0,
) -> bytes:
    """A Binding request. `transaction`: 12 octets. `octets`: fill it up to so many, in fours, at least 28 then."""
    attributes = b""
    flags = stun.CHANGE_ADDRESS_FLAG * change_address | stun.CHANGE_PORT_FLAG * change_port
    if flags:
        attributes += struct.pack("!HHI", stun.CHANGE_REQUEST, 4, flags)
    if response_port is not None:
        attributes += struct.pack("!HHHH", stun.RESPONSE_PORT, 4, response_port, 0)
    filler = octets - stun.HEADER - len(attributes) - 4
    if filler >= 0:
        attributes += struct.pack("!HH", _FILLER, filler) + bytes(filler)
    head = struct.pack("!HHI", stun.BINDING_REQUEST, len(attributes), stun.COOKIE)
    return head + transaction + attributes


def transaction_of(data: bytes) -> bytes:
    """The 12 octets in a message of RFC 8489, request or answer. Raises `WireError` if it is none."""
    if not stun.is_stun(data) or data[4:8] != stun.COOKIE.to_bytes(4, "big"):
        raise WireError(f"no STUN message in {len(data)} octets")
    return data[8 : stun.HEADER]


def is_request(data: bytes) -> bool:
    """Whether a message of `transaction_of` asks."""
    return data[:2] == stun.BINDING_REQUEST.to_bytes(2, "big")


def decode(data: bytes) -> Answer:
    """Parse one answer. Raises `WireError` for anything else."""
    transaction = transaction_of(data)
    kind = int.from_bytes(data[:2], "big")
    if kind not in (stun.BINDING_RESPONSE, stun.BINDING_ERROR):
        raise WireError(f"STUN message 0x{kind:04x} is no answer to a Binding request")
    mapped = plain = other = None
    error = 0
    at = stun.HEADER
    while at + 4 <= len(data):
        attribute, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
        if len(value) < size:
            raise WireError(f"STUN attribute 0x{attribute:04x} is longer than its message")
        match attribute:
            case stun.XOR_MAPPED_ADDRESS:
                mapped = _address(value, stun.COOKIE.to_bytes(4, "big") + transaction)
            case stun.MAPPED_ADDRESS:
                plain = _address(value, bytes(16))
            case stun.OTHER_ADDRESS | stun.CHANGED_ADDRESS:
                other = _address(value, bytes(16))
            case stun.ERROR_CODE if size >= _ERROR.size:
                _, hundreds, rest = _ERROR.unpack_from(value)
                error = (hundreds & 7) * 100 + rest
    mapped = mapped or plain
    if kind == stun.BINDING_ERROR:
        return Answer(transaction, None, other, error or 500)
    if mapped is None:
        raise WireError("STUN answer without a mapped address")
    return Answer(transaction, mapped, other)


def _address(value: bytes, mask: bytes) -> Endpoint:
    """RFC 8489 sections 14.1 and 14.2; a `mask` of zeros for the plain form."""
    size = {1: 4, 2: 16}.get(value[1] if len(value) > 1 else 0)
    if size is None or len(value) != 4 + size:
        raise WireError("STUN address of no known family")
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
    octets = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    return Endpoint(str(ipaddress.ip_address(octets)), port)
