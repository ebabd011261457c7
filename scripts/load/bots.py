"""Hosts that do nothing but what the server orders: they register, announce, and say that each attempt connects.

A program by itself, that works with the `nat_traversal` of any checkout in PYTHONPATH:
``bots.py SERVERS PAIRS ATTEMPTS_A_SECOND SECONDS [NETWORK]``, SERVERS as ``ADDRESS:PORT,...``. The hosts of a pair
are at neighbouring servers. They have addresses in NETWORK (``198.19.5``, from .10 on) or on loopback. At a rate of 0 they are idle after the first attempt. A JSON line a second tells the numbers so far.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import fields
from typing import Any

from nat_traversal.crypto.proof import signed
from nat_traversal.wire import control, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer, Suite, Trust

COMING = 500
"""Hosts a second that come at the start: fewer than the budgets of a server allow."""
PER_ADDRESS = 8
"""Hosts with one address."""
ANNOUNCE_AGAIN, MOST_ANNOUNCES = 0.5, 40
"""Seconds, and times: a server whose store has just begun admits nobody for 6 s."""
BACK_AFTER = (0.5, 2.0)
"""Seconds until a host whose connection has ended tries the next server."""
MOST_ADDRESSES = 240
"""In a network that is given."""
_HAD_NUMBER = "number" in {each.name for each in fields(m.Register)}
"""Registrations of earlier versions had one."""


def source(place: int) -> str:
    """An address that hosts come from."""
    if len(sys.argv) > 5:
        return f"{sys.argv[5]}.{10 + place % MOST_ADDRESSES}"
    return f"127.{10 + place // 62_500}.{place // 250 % 250}.{1 + place % 250}"


LEFT_OUT = 3
"""Attempts that a pair has wanted in vain, until it counts as left out."""


class Bots:
    """All of them, in one loop."""

    def __init__(self, servers: list[Endpoint], pairs: int, rate: float) -> None:
        self.servers = servers
        self.rate = rate
        self.pause = pairs / rate if rate else 0.0
        """Seconds between two attempts of a pair."""
        self.epoll = select.epoll()
        self.timers: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self.order = itertools.count()
        self.numbers = itertools.count(int(time.time()) << 16)
        self.counts: Counter[str] = Counter()
        self.connected = self.registered = 0
        self.by_fd: dict[int, Bot] = {}
        self.by_number: dict[int, Bot] = {}
        self.udp = []
        for _ in "ab":
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.bind(("", 0))
            sock.setblocking(False)
            self.epoll.register(sock, select.EPOLLIN)
            self.udp.append(sock)
        self.bots = [Bot(self, pair, side) for pair in range(pairs) for side in (0, 1)]

    def later(self, delay: float, call: Any, *values: Any) -> None:
        heapq.heappush(self.timers, (time.monotonic() + delay, next(self.order), call, values))

    def run(self, seconds: float) -> None:
        for number, bot in enumerate(self.bots):
            self.later(number / COMING, bot.come)
        end = time.monotonic() + seconds
        self.later(1.0, self.tell)
        while (now := time.monotonic()) < end:
            while self.timers and self.timers[0][0] <= now:
                _, _, call, values = heapq.heappop(self.timers)
                call(*values)
            wait = self.timers[0][0] - now if self.timers else 1.0
            for fd, _ in self.epoll.poll(max(0.0, wait), 512):
                if fd in self.by_fd:
                    self.by_fd[fd].readable()
                else:
                    self.answered(self.udp[fd != self.udp[0].fileno()])

    def answered(self, sock: socket.socket) -> None:
        """The answers to announces, each with a nonce to echo."""
        for _ in range(100):
            try:
                data, source = sock.recvfrom(2048)
            except BlockingIOError:
                return
            if data[:1] != b"\xc2":
                continue
            answer = datagrams.decode(data)
            bot = self.by_number.pop(answer.number, None)  # type: ignore[union-attr]
            nonce = getattr(answer, "nonce", b"")
            if bot is not None and any(nonce):
                echo = datagrams.Echo(bot.handle, answer.number, nonce)  # type: ignore[union-attr]
                sock.sendto(datagrams.encode(signed(echo, bot.key)), source)

    def tell(self) -> None:
        self.later(1.0, self.tell)
        told = {**self.counts, "connected": self.connected, "registered": self.registered}
        long_ago = time.monotonic() - LEFT_OUT * self.pause
        told["left out"] = sum(bot.connected_at < long_ago for bot in self.bots[::2])
        print(json.dumps({"at": time.monotonic(), **told}), flush=True)


class Bot:
    """One host."""

    def __init__(self, all_: Bots, pair: int, side: int) -> None:
        self.all, self.side, self.number = all_, side, 2 * pair + side
        self.at = pair + side
        first = f"{os.getpid()}-{pair}"
        self.id, self.peer = (f"{first}-{letter}" for letter in ("ab", "ba")[side])
        self.sock: socket.socket | None = None
        self.is_registered = self.keeps_on = False
        self.connected_at = 0.0
        self.generation = 1

    @property
    def server(self) -> Endpoint:
        return self.all.servers[self.at % len(self.all.servers)]

    def come(self) -> None:
        self.sock = sock = socket.socket()
        sock.settimeout(0.5)
        sock.bind((source(self.number // PER_ADDRESS), 0))
        try:
            sock.connect(self.server.sockaddr)
        except OSError:
            self.lost("unreachable")
            return
        sock.setblocking(False)
        self.all.connected += 1
        self.all.by_fd[sock.fileno()] = self
        self.all.epoll.register(sock, select.EPOLLIN)
        self.left = b""
        self.generation += 1
        self.key = os.urandom(32)
        self.handle = handle_of(self.key)
        offer = Offer(os.urandom(16), os.urandom(32), b"", Trust.SERVER, (Suite.AES_256_GCM,))
        more: dict[str, Any] = {"number": next(self.all.numbers)} if _HAD_NUMBER else {}
        names: dict[str, Any] = {
            "id": self.id,
            "peer": self.peer,
            "key": self.key,
            "generation": self.generation,
        }
        self.say(m.Register(transaction=1, versions=(2,), offer=offer, **names, **more))
        self.announce(self.generation)

    def lost(self, why: str) -> None:
        """Try the next server soon."""
        assert self.sock is not None
        self.all.counts[f"lost: {why}"] += 1
        if self.all.by_fd.pop(self.sock.fileno(), None) is not None:
            self.all.connected -= 1
            self.all.registered -= self.is_registered
            self.is_registered = False
        self.sock.close()
        self.sock = None
        self.at += why != "id-in-use"
        self.all.later(random.uniform(*BACK_AFTER), self.come)  # noqa: S311

    def say(self, *messages: m.Message) -> None:
        if self.sock is not None:
            try:
                self.sock.send(b"".join(map(control.encode, messages)))
            except OSError:
                self.lost("send")

    def announce(self, generation: int, left: int = MOST_ANNOUNCES) -> None:
        """Again until it is answered."""
        if generation != self.generation or self.sock is None:
            return
        number = next(self.all.numbers)
        self.all.by_number[number] = self
        made = signed(Announce(self.handle, number, generation), self.key)
        try:
            self.all.udp[self.side].sendto(datagrams.encode(made), self.server.sockaddr)
        except OSError:
            self.all.counts["announces unsent"] += 1
        if left:
            self.all.later(ANNOUNCE_AGAIN, self.repeat, generation, number, left - 1)

    def repeat(self, generation: int, number: int, left: int) -> None:
        if self.all.by_number.pop(number, None) is not None:
            self.announce(generation, left)

    def again(self) -> None:
        """The next attempt of the pair, wanted by one side."""
        self.all.later(self.all.pause, self.again)
        if self.is_registered:
            self.all.counts["wanted"] += 1
            self.generation = self.generation % 60_000 + 1
            self.announce(self.generation)
            self.say(m.Retry(self.generation, os.urandom(32)))

    def readable(self) -> None:
        assert self.sock is not None
        try:
            data = self.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lost("closed")
            return
        *lines, self.left = (self.left + data).split(b"\n")
        for line in lines:
            if self.sock is not None:
                self.heard(json.loads(line))

    def heard(self, said: dict[str, Any]) -> None:
        counts = self.all.counts
        match said["type"]:
            case "registered":
                self.is_registered = True
                self.all.registered += 1
                if self.all.rate and self.side == 0 and not self.keeps_on:
                    self.keeps_on = True
                    first = random.random()  # noqa: S311 - no secret comes from it
                    self.all.later(first * self.all.pause, self.again)
            case "open":
                self.generation = max(said["generation"], self.generation + 1)
                self.say(m.SocketOpened(self.generation, os.urandom(32)))
                self.announce(self.generation)
            case "start":
                self.round = said["attempt"], said["round"]
                counts["started"] += self.side == 0
            case "hello":
                step = said["step"]
                answer = [m.HelloSent(said["transaction"], heard=step != 1)]
                if step != 1:
                    answer.append(m.Established(*self.round))  # type: ignore[arg-type]
                    counts["established"] += step == 3
                    self.connected_at = time.monotonic()
                self.say(*answer)
            case "ping":
                self.say(m.HeartbeatAnswer(said["transaction"]))
            case "failed":
                counts[f"failed: {said['code']}"] += self.side == 0
            case "error":
                self.lost(said["code"])
            case "goaway":
                self.lost("goaway")


if __name__ == "__main__":
    places = [each.rsplit(":", 1) for each in sys.argv[1].split(",")]
    Bots(
        [Endpoint(address, int(port)) for address, port in places],
        int(sys.argv[2]),
        float(sys.argv[3]),
    ).run(float(sys.argv[4]))
