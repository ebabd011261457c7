"""Two machines of streams and what lies between them, on a virtual clock: a delay, loss, an outage."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from nat_traversal.aio.stream_identity import made_identity
from nat_traversal.streams import actions as do
from nat_traversal.streams import quic
from nat_traversal.streams.actions import StreamAction, Why
from nat_traversal.streams.connection import Streams
from nat_traversal.streams.quic import StreamIdentity
from tests.sim.clock import Call, Clock

WAY = 0.02
"""Seconds from one side to the other."""


@cache
def identity() -> StreamIdentity:
    """Any: to make one takes time."""
    return made_identity()


class Side:
    """One machine, and all that it said. Its programs read at once what comes, unless `reads` is False."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.machine: Streams | None = None
        self.reads = True
        self.opened: list[int] = []
        self.received: dict[int, bytearray] = defaultdict(bytearray)
        self.ended: list[int] = []
        self.broken: list[tuple[int, int]] = []
        self.closed: list[str] = []
        self.sizes: list[int] = []
        """Of the datagrams that it sent."""
        self._timer: Call | None = None
        self._waiting: dict[int, list[tuple[bytes, bool]]] = defaultdict(list)
        """What programs have yet to send, and whether it is their last."""

    @property
    def streams(self) -> Streams:
        assert self.machine is not None
        return self.machine

    def says(self, stream: int, octets: bytes, *, is_last: bool = False) -> None:
        """A program sends these, as there is room."""
        self._waiting[stream].append((octets, is_last))
        self._pump(stream)
        self.flush()

    def takes(self, actions: Sequence[StreamAction]) -> None:
        for action in actions:
            match action:
                case do.Opened(stream):
                    self.opened.append(stream)
                case do.Received(stream, octets):
                    self.received[stream] += octets
                    if self.reads:
                        self.streams.read(stream, len(octets))
                case do.Granted(stream):
                    self._pump(stream)
                case do.Ended(stream):
                    self.ended.append(stream)
                case do.Broken(stream, why):
                    self.broken.append((stream, why))
                case do.Closed(reason):
                    self.closed.append(reason)
        self.flush()

    def flush(self) -> None:
        if self.machine is None:
            return
        clock = self._pair.clock
        for datagram in self.machine.datagrams(clock.now):
            self.sizes.append(len(datagram))
            self._pair.carry(self, datagram)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.machine.deadline
        if deadline is not None:
            self._timer = clock.call_at(deadline, self._due)

    def _due(self) -> None:
        if self._pair.passes:
            self.takes(self.streams.due(self._pair.clock.now))

    def _pump(self, stream: int) -> None:
        waiting = self._waiting[stream]
        while waiting:
            octets, is_last = waiting.pop(0)
            room = self.streams.room(stream)
            if octets and room:
                self.streams.send(stream, octets[:room])
            if len(octets) > room:
                waiting.insert(0, (octets[room:], is_last))
                return
            if is_last:
                self.streams.end(stream)


class Pair:
    """`a` listens for programs, `b` connects to the service."""

    def __init__(self, *, loss: float = 0.0, size: int = 1200, certificate: bytes = b"") -> None:
        self.clock = Clock()
        self.passes = True
        """Whether there is a path."""
        self.way = WAY
        """Seconds from one side to the other, of datagrams that leave from now on."""
        self.loss, self._rng, self._size = loss, random.Random(7), size
        self.a, self.b = Side(self), Side(self)
        self.a.machine = Streams(quic.client(certificate or identity().octets, size), opens=True)
        self.a.streams.start(0.0)
        self.a.flush()

    def carry(self, side: Side, datagram: bytes) -> None:
        """Bring one to the other side, unless it is lost."""
        if not self.passes or self._rng.random() < self.loss:
            return
        other = self.b if side is self.a else self.a
        self.clock.at(self.clock.now + self.way, lambda: self._arrives(other, datagram))

    def run(self, seconds: float) -> None:
        """All that happens in that time."""
        self.clock.run_to(self.clock.now + seconds)

    def move(self) -> None:
        """A new path, after an outage."""
        self.passes = True
        for side in (self.a, self.b):
            side.takes(side.streams.hurry(self.clock.now))

    def _arrives(self, side: Side, datagram: bytes) -> None:
        if side.machine is None:
            side.machine = Streams(quic.server(identity(), datagram, self._size), opens=False)
        side.takes(side.machine.arrived([datagram], self.clock.now))


def broken_off(side: Side, stream: int, why: Why = Why.RESET) -> None:
    """The program of that side resets its connection."""
    side.streams.break_off(stream, why)
    side.flush()
