"""NAT-PMP's request to map one UDP port, and the answers to it (RFC 6886 section 3.3)."""

from __future__ import annotations

import struct

from nat_traversal.mapping.answers import Answer, Denied, OtherVersion, granted

_VERSION, _MAP_UDP, _IS_RESPONSE = 0, 1, 0x80
_REQUEST = struct.Struct("!BBHHHI")
_ANSWER = struct.Struct("!BBHIHHI")
_UNSUPPORTED_VERSION = 1


def request(port: int, *, suggested: int, lifetime: int) -> bytes:
    """Ask the router to lead a port of its own to `port` of this host. `lifetime` in seconds; 0 ends the mapping."""
    return _REQUEST.pack(_VERSION, _MAP_UDP, 0, port, suggested if lifetime else 0, lifetime)


def answer(data: bytes, port: int) -> Answer | None:
    """The router's answer to that request; None: `data` is something else."""
    if len(data) < 4 or data[0] != _VERSION or data[1] != _MAP_UDP | _IS_RESPONSE:
        return None
    if int.from_bytes(data[2:4]) == _UNSUPPORTED_VERSION:
        return OtherVersion()
    if len(data) < _ANSWER.size:
        return None
    _, _, result, _, inside, outside, lifetime = _ANSWER.unpack_from(data)
    if inside != port:
        return None
    return Denied(f"NAT-PMP result {result}") if result else granted(outside, lifetime)
