"""Ports of flows that made room for others: an answer that comes late must reach nobody else."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque

log = logging.getLogger(__name__)


class ParkedPorts:
    """Keeps sockets bound that nobody reads, at most `most`, for `seconds`, and recalls the numbers of all others for as long.

    So no other program of this host gets the newest ports, and no flow any of them.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._loop = asyncio.get_running_loop()
        self._sockets: deque[tuple[float, socket.socket]] = deque()
        self._until: dict[int, float] = {}
        """The ports, the one given up first first."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def bound(self) -> int:
        """How many ports stay bound."""
        return len(self._sockets)

    def park(self, sock: socket.socket) -> None:
        """Take a bound socket over, and lose all that comes to it meanwhile."""
        until = self._loop.time() + self._seconds
        port = sock.getsockname()[1]
        self._until.pop(port, None)
        self._until[port] = until
        self._sockets.append((until, sock))
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the kernel drops the rest
        except OSError as error:
            log.debug("a parked port keeps its buffer: %s", error)
        while len(self._sockets) > self._most:
            self._sockets.popleft()[1].close()
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._due)

    def recalls(self, port: int) -> bool:
        """Whether an answer to a flow that has ended may still come to `port`."""
        until = self._until.get(port)
        return until is not None and until > self._loop.time()

    def close(self) -> None:
        """Free every port."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._sockets:
            self._sockets.popleft()[1].close()
        self._until.clear()

    def _due(self) -> None:
        now = self._loop.time()
        while self._sockets and self._sockets[0][0] <= now:
            self._sockets.popleft()[1].close()
        while self._until and (oldest := next(iter(self._until.items())))[1] <= now:
            del self._until[oldest[0]]
        first = next(iter(self._until.values()), None)
        self._timer = None if first is None else self._loop.call_at(first, self._due)
