"""One TCP connection of this host: read as far as its stream has credit, written as fast as its program reads.

Asyncio's own transports do not tell how much the kernel has taken, which is what credit is granted for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from itertools import islice
from typing import Protocol

log = logging.getLogger(__name__)

PIECE = 65_536
"""Octets that are read at once, before the others' turn."""
PIECES = 64
"""That are written at once."""
_RESET = struct.pack("ii", 1, 0)


Key = tuple[int, int]
"""Of one connection: the number of the QUIC connection, and the stream in it."""


class Owner(Protocol):
    """The mover of connections' octets. Each call bears the connection's key."""

    def room(self, key: Key) -> int:
        """Octets that may be read now."""

    def came(self, key: Key, octets: bytes) -> None:
        """The program has sent these."""

    def ended(self, key: Key) -> None:
        """The program has sent its last octet."""

    def taken(self, key: Key, octets: int) -> None:
        """The kernel has taken so many of those to write."""

    def broke(self, key: Key) -> None:
        """The program, or its host, has reset the connection. It is closed."""

    def done(self, key: Key) -> None:
        """Both directions have ended, everything is written, and it is closed."""


class TcpEnd:
    """Until `begin` there is no socket: what is to be written waits."""

    __slots__ = (
        "_ends",
        "_is_open",
        "_key",
        "_loop",
        "_out",
        "_owner",
        "_reads",
        "_sock",
        "_waiting",
        "connecting",
    )

    def __init__(self, owner: Owner, key: Key) -> None:
        self._owner = owner
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._out: deque[memoryview] = deque()
        self._is_open = True
        """The program may still send."""
        self._reads = False
        """The event loop watches for octets."""
        self._waiting = False
        """The event loop watches for room to write."""
        self._ends = False
        """Nothing follows what is to be written."""
        self.connecting: asyncio.Task[None] | None = None
        """The task that will `begin` it."""

    @property
    def is_settled(self) -> bool:
        """Both directions have ended; the program may still have to read."""
        return self._ends and not self._is_open

    def begin(self, sock: socket.socket) -> None:
        """The connection stands. `sock` does not block."""
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.resume()
        self._flush()

    def resume(self) -> None:
        """There may be room again."""
        if self._sock is not None and self._is_open and not self._reads:
            self._reads = True
            self._loop.add_reader(self._sock, self._readable)

    def write(self, octets: bytes) -> None:
        """For the program, with the next `flush`."""
        self._out.append(memoryview(octets))

    def end(self) -> None:
        """Nothing more is to be written: the program sees the end of the stream, with the next `flush`."""
        self._ends = True

    def flush(self) -> None:
        """Write what is at hand, unless the kernel has to take other octets first."""
        if not self._waiting:
            self._flush()

    def reset(self) -> None:
        """Break it off: the program sees a reset."""
        if self._sock is not None:
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            except OSError as error:
                log.debug("TCP: %s", error)
        self.close()

    def close(self) -> None:
        """Free the socket."""
        self._out.clear()
        self._is_open = False
        if self._sock is None:
            if self.connecting is not None:
                self.connecting.cancel()
            return
        self._stop_reading()
        self._stop_waiting()
        self._sock.close()
        self._sock = None

    def _readable(self) -> None:
        assert self._sock is not None
        room = min(PIECE, self._owner.room(self._key))
        if room <= 0:
            self._stop_reading()
            return
        try:
            octets = self._sock.recv(room)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broke(error)
            return
        if octets:
            self._owner.came(self._key, octets)
            return
        self._is_open = False
        self._stop_reading()
        self._owner.ended(self._key)
        self._see_whether_done()

    def _flush(self) -> None:
        if self._sock is None:
            return
        out, taken = self._out, 0
        try:
            while out:
                sent = self._sock.sendmsg([*islice(out, PIECES)])
                taken += sent
                while sent and sent >= len(out[0]):
                    sent -= len(out.popleft())
                if sent:
                    out[0] = out[0][sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._broke(error)
            return
        if out and not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._sock, self._flush)
        elif not out:
            self._stop_waiting()
        if taken:
            self._owner.taken(self._key, taken)
        if self._ends and not out and self._sock is not None:
            self._say_end(self._sock)

    def _say_end(self, sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._broke(error)
            return
        self._see_whether_done()

    def _see_whether_done(self) -> None:
        if self._ends and not self._out and not self._is_open and self._sock is not None:
            self.close()
            self._owner.done(self._key)

    def _broke(self, error: OSError) -> None:
        self.close()
        log.debug("TCP: %s", error)
        self._owner.broke(self._key)

    def _stop_reading(self) -> None:
        if self._reads and self._sock is not None:
            self._reads = False
            self._loop.remove_reader(self._sock)

    def _stop_waiting(self) -> None:
        if self._waiting and self._sock is not None:
            self._waiting = False
            self._loop.remove_writer(self._sock)
