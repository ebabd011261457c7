"""One netlink request to the kernel, and its acknowledgement, without the cost of a process."""

from __future__ import annotations

import socket
import struct

NETFILTER = 12
"""NETLINK_NETFILTER of linux/netlink.h; Python has no name for it."""
_REQUEST, _ACKNOWLEDGE = 0x1, 0x4
_HEADER = struct.Struct("=IHHII")


def request(family: int, kind: int, body: bytes) -> int:
    """Ask the kernel, in the network namespace that this thread is in. 0, or the error's number.

    `family` is one such as `socket.NETLINK_ROUTE`, `kind` the message's type, `body` what follows its
    header (linux/netlink.h).
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as netlink:
        length = _HEADER.size + len(body)
        netlink.send(_HEADER.pack(length, kind, _REQUEST | _ACKNOWLEDGE, 1, 0) + body)
        (error,) = struct.unpack_from("=i", netlink.recv(4096), _HEADER.size)
    return -int(error)
