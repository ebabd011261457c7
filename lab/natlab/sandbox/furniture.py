"""Mounts and the loopback interface of new namespaces, by the kernel's own calls: each program for it takes milliseconds."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 0x1
_INTERFACE = struct.Struct("=16sH22x")
"""``struct ifreq`` with flags."""
_libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: str) -> None:
    """Mount a new file system of that kind. Raises `OSError`."""
    name = os.fsencode(kind)
    if _libc.mount(name, os.fsencode(target), name, ctypes.c_ulong(0), None) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot mount a {kind} at {target}: {os.strerror(errno)}")


def unmount(target: str) -> None:
    """Take away what was mounted there."""
    _libc.umount2(os.fsencode(target), 0)


def loopback_up() -> None:
    """Make ``lo`` of this thread's network namespace ready for use. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, _SIOCGIFFLAGS, _INTERFACE.pack(b"lo", 0))
        _, flags = _INTERFACE.unpack(answer)
        fcntl.ioctl(asked, _SIOCSIFFLAGS, _INTERFACE.pack(b"lo", flags | _IFF_UP))
