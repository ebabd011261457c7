"""Netlink requests to the kernel and their answers, without the cost of a process."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Self

NETFILTER = 12
"""NETLINK_NETFILTER of linux/netlink.h; Python has no name for it."""
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
"""Flags of a request that makes something (NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE)."""
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=i")
_TYPE_MASK = 0x3FFF
"""Without the flags of an attribute's type (NLA_F_NESTED, NLA_F_NET_BYTEORDER)."""
_ANSWER_BYTES = 1 << 16


class Netlink:
    """A netlink socket in the network namespace that this thread is in when it is made. Use it as a context manager.

    All requests are about that namespace, wherever the thread is then.
    """

    def __init__(self, family: int) -> None:
        """`family` is one such as `socket.NETLINK_ROUTE`."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> int:
        """Ask for one change: 0, or the error's number.

        `kind` is the message's type, `body` all after its header (linux/netlink.h).
        """
        self._send(kind, body, flags | _ACKNOWLEDGE)
        (error,) = _NUMBER.unpack_from(self._socket.recv(_ANSWER_BYTES), _HEADER.size)
        return -int(error)

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the one message that answers. Raises `OSError`."""
        self._send(kind, body, 0)
        answer = self._socket.recv(_ANSWER_BYTES)
        if _HEADER.unpack_from(answer)[1] == _ERROR:
            raise _refusal(answer)
        return answer[_HEADER.size :]

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The body of each message of the answer. Raises `OSError`. Take it to its end."""
        self._send(kind, body, _DUMP)
        while True:
            answer = self._socket.recv(_ANSWER_BYTES)
            at = 0
            while at < len(answer):
                length, answered, _, _, _ = _HEADER.unpack_from(answer, at)
                if answered == _DONE:
                    return
                if answered == _ERROR:
                    raise _refusal(answer[at:])
                yield answer[at + _HEADER.size : at + length]
                at += length + 3 & ~3

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _REQUEST | flags, 1, 0) + body)


def _refusal(message: bytes) -> OSError:
    (error,) = _NUMBER.unpack_from(message, _HEADER.size)
    return OSError(-error, os.strerror(-error))


def request(family: int, kind: int, body: bytes) -> int:
    """`Netlink.request` by a socket of its own."""
    with Netlink(family) as netlink:
        return netlink.request(kind, body)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, as messages hold them behind their fixed part. Nested ones are their `value`."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(octets: bytes) -> dict[int, bytes]:
    """The attributes of a message's part by their types."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        found[kind & _TYPE_MASK] = octets[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found
