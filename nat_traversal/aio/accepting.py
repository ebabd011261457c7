"""TCP connections at the server: taken or refused at little cost, and read in small pieces.

Asyncio's own transports would allocate 256 KB for each read, and cost three times as much to make.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

from nat_traversal.machine.failures import lacks_room

log = logging.getLogger(__name__)

PIECE = 4096
"""Octets that are read at once: a line has no more."""
RECEIVE_BUFFER = 16 * 1024
"""Octets asked of the kernel for what a connection sends and nobody has read."""
LINGERING = 32
"""Connections at a time that have said their last word, and wait for the other end to close.

The kernel would reset one that is closed with octets unread, and the last word could be lost.
"""
_RESET = struct.pack("ii", 1, 0)
_buffer = memoryview(bytearray(PIECE))
"""Shared by all: it is empty again before the next read."""

Address = tuple[str, int] | tuple[str, int, int, int]


class AcceptedStream(asyncio.Transport):
    """One accepted connection, as a transport for its protocol. `sock` is not blocking."""

    __slots__ = (
        "_address",
        "_is_closing",
        "_is_paused",
        "_lingering",
        "_loop",
        "_out",
        "_protocol",
        "_sock",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: asyncio.Protocol,
        address: Address,
        lingering: set[AcceptedStream],
    ) -> None:
        super().__init__()
        self._lingering = lingering
        self._loop, self._sock, self._protocol, self._address = loop, sock, protocol, address
        self._out = bytearray()
        self._is_closing = self._is_paused = False
        loop.add_reader(sock, self._readable)
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``peername``, ``sockname`` and ``socket``."""
        if name == "sockname":
            return self._sock.getsockname()
        return {"peername": self._address, "socket": self._sock}.get(name, default)

    def is_closing(self) -> bool:
        """Whether nothing is read any more."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""
        if not self._is_paused and not self._is_closing:
            self._loop.remove_reader(self._sock)
        self._is_paused = True

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_paused and not self._is_closing:
            self._loop.add_reader(self._sock, self._readable)
        self._is_paused = False

    def get_write_buffer_size(self) -> int:
        """Octets that the kernel has not taken yet."""
        return len(self._out)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep what the kernel does not take."""
        if self._is_closing or not data:
            return
        if not self._out:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._lost(error)
                return
            if not data:
                return
            self._loop.add_writer(self._sock, self._writable)
        self._out += data

    def close(self) -> None:
        """Close once everything is sent, and if there is room for one more that waits, once the other end has closed."""
        if self._is_closing:
            return
        self._stop_reading()
        if not self._out:
            self._said_all()

    def abort(self) -> None:
        """Close now."""
        self._lost(None)

    def _said_all(self) -> None:
        if len(self._lingering) >= LINGERING:
            self._loop.call_soon(self._end, None)
            return
        self._lingering.add(self)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:  # the other end has reset it
            self._lost(error)
            return
        self._loop.add_reader(self._sock, self._discard)

    def _discard(self) -> None:
        try:
            if self._sock.recv_into(_buffer):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            log.debug("closing: %s", error)
        self._end(None)

    def _lost(self, error: OSError | None) -> None:
        self._out.clear()
        if self._sock.fileno() < 0:
            return
        self._stop_reading()
        self._loop.remove_writer(self._sock)
        self._loop.call_soon(self._end, error)

    def _stop_reading(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.remove_reader(self._sock)

    def _end(self, error: OSError | None) -> None:
        if self._sock.fileno() < 0:
            return
        if self in self._lingering:
            self._lingering.remove(self)
            self._loop.remove_reader(self._sock)
        self._sock.close()
        self._protocol.connection_lost(error)

    def _readable(self) -> None:
        try:
            length = self._sock.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        if length:
            self._protocol.data_received(bytes(_buffer[:length]))
            return
        self._stop_reading()  # the other end has closed; it may still read
        if not self._out:
            self._loop.call_soon(self._end, None)

    def _writable(self) -> None:
        try:
            del self._out[: self._sock.send(self._out)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        if not self._out:
            self._loop.remove_writer(self._sock)
            if self._is_closing:
                self._said_all()


class Door:
    """Takes connections on bound sockets.

    `admit` gets the address of each, before anything is made for it. It gives the octets to refuse it
    with, empty for no word at all, or None to take it. `taken` gets the socket of one that is taken, which does not block.
    `out_of_files` is told when this process has no room for one more: once, until all that wait have been taken. After
    `again` seconds it tries again.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        *,
        backlog: int,
        burst: int,
        again: float,
        admit: Callable[[Address], bytes | None],
        taken: Callable[[socket.socket, Address], object],
        out_of_files: Callable[[OSError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = list(sockets)
        self._burst, self._again = burst, again
        self._admit, self._taken, self._out_of_files = admit, taken, out_of_files
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._is_told = False
        for sock in self._sockets:
            sock.setblocking(False)
            sock.listen(backlog)
            self._loop.add_reader(sock, self._readable, sock)

    def close(self) -> None:
        """Take no more connections, and close the sockets."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        for timer in self._resting.values():
            timer.cancel()
        self._sockets.clear()

    def _readable(self, listener: socket.socket) -> None:
        taken = 0
        for _ in range(8 * self._burst):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                self._is_told = False
                return
            except (InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not lacks_room(error):
                    log.debug("not accepted: %s", error)
                    return
                self._rest(listener, error)
                return
            refusal = self._admit(address)
            if refusal is not None:
                _refuse(sock, refusal)
                continue
            self._take(sock, address)
            taken += 1
            if taken == self._burst:
                return

    def _take(self, sock: socket.socket, address: Address) -> None:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            log.debug("gone before it was taken: %s", error)
            sock.close()
            return
        self._taken(sock, address)

    def _rest(self, listener: socket.socket, error: OSError) -> None:
        """The kernel would say so again at once: look after those that are here meanwhile."""
        self._loop.remove_reader(listener)
        self._resting[listener] = self._loop.call_later(self._again, self._go_on, listener)
        was_told, self._is_told = self._is_told, True
        if not was_told:
            self._out_of_files(error)

    def _go_on(self, listener: socket.socket) -> None:
        del self._resting[listener]
        self._loop.add_reader(listener, self._readable, listener)


class Acceptor(Door):
    """A door behind which each connection is an `AcceptedStream`, with the protocol that `accepted` makes."""

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        *,
        backlog: int,
        burst: int,
        again: float,
        admit: Callable[[Address], bytes | None],
        accepted: Callable[[Address], asyncio.Protocol],
        out_of_files: Callable[[OSError], None],
    ) -> None:
        sockets = list(sockets)
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        loop = asyncio.get_running_loop()
        lingering: set[AcceptedStream] = set()

        def taken(sock: socket.socket, address: Address) -> None:
            AcceptedStream(loop, sock, accepted(address), address, lingering)

        super().__init__(
            sockets,
            backlog=backlog,
            burst=burst,
            again=again,
            admit=admit,
            taken=taken,
            out_of_files=out_of_files,
        )


def _refuse(sock: socket.socket, words: bytes) -> None:
    try:
        if words:
            sock.setblocking(False)
            sock.send(words)
        else:  # no state stays in the kernel either
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError as error:
        log.debug("not told: %s", error)
    sock.close()
