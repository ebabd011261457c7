"""A Python on which nothing is there that Linux alone has: `make test-plain` starts all interpreters with it.

Python imports a module of this name at each start. It stands in for other systems, which the tests do not run on:
it takes names away, and keeps the kernel. So what asks for a feature by its name finds none.
"""

import errno
import os
import select
import selectors
import socket
import time

MISSING = {
    errno: ("ENONET",),
    os: ("memfd_create", "eventfd", "pidfd_open", "unshare", "setns", "sched_setaffinity"),
    select: ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLLERR", "EPOLLHUP"),
    selectors: ("EpollSelector",),
    socket: (
        "AF_NETLINK",
        "AF_PACKET",
        "MSG_ERRQUEUE",
        "NETLINK_ROUTE",
        "SOCK_CLOEXEC",
        "SOCK_NONBLOCK",
        "SO_BINDTODEVICE",
        "SO_MARK",
        "SO_PEERCRED",
        "UDPLITE_SEND_CSCOV",
    ),
    time: ("CLOCK_BOOTTIME",),
}
"""Names that Python has on Linux only."""

for _module, _names in MISSING.items():
    for _name in _names:
        if hasattr(_module, _name):
            delattr(_module, _name)
selectors.DefaultSelector = selectors.PollSelector  # type: ignore[misc, assignment]
