"""PCP's MAP request for one UDP port, and the answers to it (RFC 6887 sections 7, 8 and 11)."""

from __future__ import annotations

import ipaddress
import struct

from nat_traversal.mapping.answers import Answer, Denied, OtherVersion, granted

NONCE_OCTETS = 12
_VERSION, _MAP, _IS_RESPONSE, _UDP = 2, 1, 0x80, 17
_REQUEST = struct.Struct("!BBHI16s12sB3xHH16s")
_ANSWER = struct.Struct("!BBBBII12x12sB3xHH16s")
_UNSUPPORTED_VERSION = 1
_ANY = ipaddress.ip_address("::ffff:0.0.0.0").packed


def request(inside: str, port: int, nonce: bytes, *, suggested: int, lifetime: int) -> bytes:
    """Ask the router to lead a port of its own to `port` of this host, which it sees at the IPv4 address `inside`.

    `nonce`, 12 octets, stays the same for one mapping. `lifetime` in seconds; 0 ends the mapping.
    """
    own = ipaddress.ip_address(f"::ffff:{inside}").packed
    head = (_VERSION, _MAP, 0, lifetime, own)
    return _REQUEST.pack(*head, nonce, _UDP, port, suggested if lifetime else 0, _ANY)


def answer(data: bytes, port: int, nonce: bytes) -> Answer | None:
    """The router's answer to that request; None: `data` is something else."""
    if len(data) >= 4 and data[0] == 0 and data[1] & _IS_RESPONSE and data[3] == 1:
        return OtherVersion()  # NAT-PMP's way to say so (RFC 6886 section 3.5)
    if len(data) < _ANSWER.size or data[0] != _VERSION or data[1] != _MAP | _IS_RESPONSE:
        return None
    _, _, _, result, lifetime, _, echoed, protocol, inside, outside, _ = _ANSWER.unpack_from(data)
    if (echoed, protocol, inside) != (nonce, _UDP, port):
        return None
    if result == _UNSUPPORTED_VERSION:
        return OtherVersion()
    return Denied(f"PCP result {result}") if result else granted(outside, lifetime)
