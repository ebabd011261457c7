"""Many TCP connections of one attacker: opened from given addresses, fed, read, and opened again when they end."""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Self

from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer, Suite, Trust

_RESET = struct.pack("ii", 1, 0)
_IP_BIND_ADDRESS_NO_PORT = 24
_numbers = itertools.count()


def addresses(count: int) -> list[str]:
    """So many addresses of this host, none of them that of the legitimate pair."""
    return [
        f"127.{2 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
        for number in range(count)
    ]


@dataclass(slots=True)
class Tally:
    """An attacker's deeds so far."""

    opened: int = 0
    """Connections begun."""
    octets: int = 0
    """Taken by the kernel for these."""
    datagrams: int = 0


def register_line(name: str = "", owner: bytes = b"") -> bytes:
    """A registration with an id of its own, or the one given, for a peer that never comes."""
    name = name or f"x{os.getpid()}-{next(_numbers)}"
    offer = Offer(os.urandom(16), os.urandom(32), b"", Trust.SERVER, (Suite.AES_256_GCM,))
    key = os.urandom(32)
    return control.encode(m.Register(1, (2,), name, f"{name}-peer", key, 1, offer, owner=owner))


@dataclass(eq=False, slots=True)
class Bot:
    """One connection of the swarm."""

    sock: socket.socket
    source: str
    waiting: bytes
    """Octets to send."""
    heard: bool = False
    """The server has said something."""
    due: float = field(default=0.0)
    """When the next flood of it is due."""


class Swarm:
    """`count` connections to `server`. `first`: what each says when it stands. Those that end are opened again."""

    def __init__(
        self,
        server: Endpoint,
        sources: Sequence[str],
        count: int,
        first: Callable[[], bytes],
        tally: Tally,
    ) -> None:
        self._server = server.sockaddr
        self._sources = itertools.cycle(sources)
        self._count = count
        self._first = first
        self._tally = tally
        self._epoll = select.epoll()
        self.bots: dict[int, Bot] = {}

    def fill(self, most: int = 200) -> None:
        """Open up to `most` of the connections that are missing."""
        for _ in range(min(most, self._count - len(self.bots))):
            if not self._open():
                return

    def _open(self) -> bool:
        source = next(self._sources)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
            sock.bind((source, 0))
            failed = sock.connect_ex(self._server)
        except OSError:
            failed = errno.EADDRNOTAVAIL
        if failed not in (0, errno.EINPROGRESS):
            sock.close()
            return False
        self.bots[sock.fileno()] = Bot(sock, source, self._first())
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        self._tally.opened += 1
        return True

    def end(self, bot: Bot) -> None:
        """Close one at once."""
        self.bots.pop(bot.sock.fileno(), None)
        bot.sock.close()

    def send(self, bot: Bot, data: bytes) -> None:
        """Send, as far as the kernel takes it."""
        try:
            self._tally.octets += bot.sock.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.end(bot)

    def turn(self) -> None:
        """Take what has come, send first words, and open what has ended."""
        for fd, event in self._epoll.poll(0.0, 512):
            bot = self.bots.get(fd)
            if bot is None:
                continue
            if event & (select.EPOLLHUP | select.EPOLLERR):
                self.end(bot)
                continue
            if event & select.EPOLLIN:
                try:
                    data = bot.sock.recv(65_536)
                except OSError:
                    data = b""
                if not data:
                    self.end(bot)
                    continue
                bot.heard = True
            if event & select.EPOLLOUT:
                self._epoll.modify(fd, select.EPOLLIN)
                if bot.waiting:
                    self.send(bot, bot.waiting)
        self.fill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all at once."""
        for bot in list(self.bots.values()):
            self.end(bot)
        self._epoll.close()

    def gather(self, share: float = 0.95, within: float = 20.0) -> Generator[float, None, None]:
        """Until that share of the connections has been answered, or no more of them have been for a second."""
        now, most = time.monotonic(), 0
        end, idle = now + within, now + 1.0
        while (now := time.monotonic()) < min(end, idle):
            self.turn()
            yield 0.001
            heard = sum(bot.heard for bot in self.bots.values())
            if heard >= share * self._count:
                return
            if heard > most:
                most, idle = heard, now + 1.0
