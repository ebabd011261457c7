"""The service manager that has started a command: it hears how that is, and may have opened its sockets.

The protocols are systemd's, sd_notify(3) and sd_listen_fds(3). They are a few lines each, so that a
server needs no package for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from nat_traversal.cli.plain import one_line
from nat_traversal.errors import UsageError

FIRST_FD = 3
"""Of the sockets that are handed over (sd_listen_fds(3))."""
STATUS_EVERY = 5.0
"""Seconds between two status lines."""


class Manager:
    """Notifies whoever asks for it by NOTIFY_SOCKET in the environment. Without that it does nothing."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = _watchdog(environment)
        self._timer: asyncio.TimerHandle | None = None
        self._status, self._every = "", STATUS_EVERY

    def ready(self, status: Callable[[], str], every: float = STATUS_EVERY) -> None:
        """The service works. From now on `status` tells what it does, every so many seconds."""
        self._every = every
        self._notify("READY=1", f"STATUS={status()}")
        if self._address:
            self._go_on(asyncio.get_running_loop(), status)

    def waiting(self, status: str) -> None:
        """The service cannot work yet."""
        self._notify(f"STATUS={status}")

    def reloading(self) -> None:
        """The service reads its configuration again; `reloaded` follows."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """That is over."""
        self._notify("READY=1")

    def stopping(self, status: str) -> None:
        """The service ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._notify("STOPPING=1", f"STATUS={status}")

    def _go_on(self, loop: asyncio.AbstractEventLoop, status: Callable[[], str]) -> None:
        """A loop that runs this is alive: the watchdog hears it at least twice in its time."""
        now = status()
        changed = [f"STATUS={now}"] if now != self._status else []
        self._status = now
        self._notify(*(["WATCHDOG=1"] if self._watchdog else []), *changed)
        pause = min(self._every, self._watchdog / 2 if self._watchdog else self._every)
        self._timer = loop.call_later(pause, self._go_on, loop, status)

    def _notify(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        with (
            contextlib.suppress(OSError),  # a manager that has gone, or is too busy to read
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        ):
            sock.setblocking(False)
            # A server's words may be in it, and each line would be an order to the manager.
            sock.sendto("\n".join(map(one_line, lines)).encode(), self._address)


def inherited(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that the service manager has opened for this process. Raises `UsageError`."""
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets: list[socket.socket] = []
    try:
        for fd in range(FIRST_FD, FIRST_FD + int(count)):
            sockets.append(socket.socket(fileno=fd))
            os.set_inheritable(fd, False)
    except OSError as error:
        raise UsageError(f"file descriptor {fd} of LISTEN_FDS is no socket: {error}") from None
    return sockets


def _watchdog(environment: MutableMapping[str, str]) -> float | None:
    """Seconds within which the watchdog wants to hear something; None: there is none."""
    microseconds, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6 or None
