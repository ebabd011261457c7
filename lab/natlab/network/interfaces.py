"""Requests to an interface while a network comes up: does it run, and does it sum its packets."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import time
from contextlib import suppress

from natlab.errors import NetworkError

LINK_TIMEOUT = 10.0
"""Seconds in which every link must have come up."""
_SIOCGIFFLAGS = 0x8913
_SIOCETHTOOL = 0x8946
_IFF_RUNNING = 0x40
_ETHTOOL_STXCSUM = 0x17
_RTMGRP_LINK = 1
_TOLD_BYTES = 1 << 16
_LOOK_AGAIN = 0.1
"""Seconds after which to look again, whatever the kernel has told."""


def wait_until_running(handle: socket.socket, interface: str, deadline: float) -> None:
    """Wait until the kernel has noticed that both ends of the link are up.

    Until then it silently drops what is sent. It notices on its own time, mostly at once, at worst
    a second later (`docs/lab/how-it-works.md`). To be called in the namespace of the interface.
    """
    if _is_running(handle, interface):
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as told:
        told.bind((0, _RTMGRP_LINK))
        told.settimeout(_LOOK_AGAIN)
        while not _is_running(handle, interface):
            if time.monotonic() > deadline:
                raise NetworkError(f"{interface} was not running after {LINK_TIMEOUT:g} s")
            with suppress(
                OSError
            ):  # it timed out, or the kernel had more to tell than there was room for
                told.recv(_TOLD_BYTES)


def _is_running(handle: socket.socket, interface: str) -> bool:
    request = struct.pack("16s24x", interface.encode())
    (flags,) = struct.unpack_from("H", fcntl.ioctl(handle, _SIOCGIFFLAGS, request), 16)
    return bool(flags & _IFF_RUNNING)


def compute_checksums(handle: socket.socket, interface: str) -> None:
    """Turn transmit checksum offload off, so that captures at the other end show real checksums.

    The kernel marks an interface running and starts its queue under one lock, which this request
    also takes: when it returns, an interface that was seen running does send.
    """
    value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
    try:
        fcntl.ioctl(handle, _SIOCETHTOOL, request)
    except OSError as error:
        raise NetworkError(
            f"cannot turn off checksum offload on {interface}: {error.strerror}"
        ) from None
