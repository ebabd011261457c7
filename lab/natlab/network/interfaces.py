"""Requests to an interface while a network comes up: does it run, and does it sum its packets."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import time

from natlab.errors import NetworkError

LINK_TIMEOUT = 10.0
"""Seconds in which every link must have come up."""
_SIOCGIFFLAGS = 0x8913
_SIOCETHTOOL = 0x8946
_IFF_RUNNING = 0x40
_ETHTOOL_STXCSUM = 0x17


def wait_until_running(handle: socket.socket, interface: str, deadline: float) -> None:
    """Wait until the kernel has noticed that both ends of the link are up.

    Until then it silently drops what is sent. It notices on its own time, mostly at once, at worst
    a second later (`docs/lab/how-it-works.md`).
    """
    request = struct.pack("16s24x", interface.encode())
    while True:
        (flags,) = struct.unpack_from("H", fcntl.ioctl(handle, _SIOCGIFFLAGS, request), 16)
        if flags & _IFF_RUNNING:
            return
        if time.monotonic() > deadline:
            raise NetworkError(f"{interface} was not running after {LINK_TIMEOUT:g} s")
        time.sleep(0.001)


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
