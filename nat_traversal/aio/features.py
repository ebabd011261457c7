"""The system's features beyond POSIX: found by feature, since the same number means something else elsewhere.

11 at the level of IP is IP_RECVERR on Linux, and IP_MULTICAST_LOOP on others. A call with a foreign number
might succeed, and do something else.
"""

from __future__ import annotations

import errno
import socket

LINUX = hasattr(socket, "AF_NETLINK")
"""Whether the numbers of Linux' socket options mean here what they mean there."""


def set_linux_option(sock: socket.socket, level: int, option: int, value: int) -> None:
    """Set an option that Linux alone has under that number. Raises `OSError`, also on any other system."""
    if not LINUX:
        raise OSError(errno.ENOPROTOOPT, "this system has no such option")
    sock.setsockopt(level, option, value)
