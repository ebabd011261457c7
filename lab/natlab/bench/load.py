"""Datagrams at a given rate or within a window, and the sink that counts them: two processes for one direction.

Sockets come ready from their owner, wherever they were opened. Both processes are forks, so that
nothing of the owner's runs beside them. They meet in shared memory.
"""

from __future__ import annotations

import mmap
import os
import random
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass

from natlab.sandbox.fork import forked

UDP_SEGMENT, UDP_GRO = 103, 104
"""linux/udp.h; Python has no names for them before 3.14."""
ANY_SIZE = 0
"""As `Load.size`: each datagram has another one."""
SMALLEST, LARGEST = 64, 1_400
"""Octets of datagrams of any size."""
_MARK = struct.Struct("=dI")
"""A datagram begins with this: when it was sent, and its source."""
_MOST_SEGMENTS, _MOST_OCTETS = 64, 65_000
_WAIT = struct.pack("@ll", 0, 20_000)
"""A struct timeval: how long a sink that waits does so at once."""
_SILENCE = 0.2
"""Seconds after which nothing more comes, or a window counts as lost."""
_BINS = 200_000
"""Of the delays, in microseconds; longer ones count as this."""
_HEAD = 64
_MOST_SOURCES = 4096


@dataclass(frozen=True, slots=True)
class Load:
    """The datagrams that a sender offers."""

    size: int = 1_200
    """Octets of a datagram, or `ANY_SIZE`."""
    rate: float = 0.0
    """Datagrams a second, whatever becomes of them; 0: a `window` is kept full."""
    window: int = 0
    """Datagrams on the way at most; 0: no limit."""
    in_runs: bool = True
    """The sender hands the kernel runs (GSO), as WireGuard and QUIC do."""
    seconds: float = 1.2
    waits: bool = False
    """The sink sleeps until something comes, for delays; otherwise it looks each 0.1 ms, which costs others less."""

    @property
    def run(self) -> int:
        """Datagrams that are sent at once."""
        if not self.in_runs or self.size == ANY_SIZE:
            return 1
        most = min(_MOST_SEGMENTS, _MOST_OCTETS // self.size)
        return max(1, min(most, self.window // 2) if self.window else most)


@dataclass(frozen=True, slots=True)
class Carried:
    """The fate of a load."""

    sent: int
    received: int
    seconds: float
    """For which datagrams were sent."""
    delay: float
    """Median, in microseconds, of the first of each run."""
    delay_99: float
    """The 99th percentile."""
    fewest: float
    """The smallest share of a source's datagrams that came."""

    @property
    def rate(self) -> float:
        """Datagrams that came, a second."""
        return self.received / self.seconds

    @property
    def loss(self) -> float:
        """The share that did not come."""
        return max(0.0, 1.0 - self.received / max(1, self.sent))


class Transfer:
    """One load on its way. `sources` are sockets, connected unless it is told where `to`; `sink` is bound."""

    def __init__(
        self,
        load: Load,
        sources: list[socket.socket],
        sink: socket.socket,
        to: tuple[str, int] | None = None,
    ) -> None:
        assert len(sources) <= _MOST_SOURCES
        self._shared = mmap.mmap(-1, _HEAD + 4 * _BINS + 16 * _MOST_SOURCES)
        self._sources = len(sources)
        empty(sink)
        board = _Board(self._shared)
        self._sink = forked(lambda: _count(load, sink, board))
        self._sender = forked(lambda: _send(load, sources, board, to))

    def end(self) -> Carried:
        """Wait for it."""
        os.waitpid(self._sender, 0)
        os.waitpid(self._sink, 0)
        board = _Board(self._shared)
        sent = board.by_source(board.sent_at, self._sources)
        came = board.by_source(board.came_at, self._sources)
        return Carried(
            sum(sent),
            board.received,
            max(1e-9, board.ended - board.began),
            board.percentile(0.5),
            board.percentile(0.99),
            min(ours / max(1, theirs) for ours, theirs in zip(came, sent, strict=True)),
        )


class _Board:
    """The shared memory: counters, a histogram of delays, datagrams by source."""

    def __init__(self, shared: mmap.mmap) -> None:
        view = memoryview(shared)
        self.numbers = view[:_HEAD].cast("Q")
        self.times = view[:_HEAD].cast("d")
        self.bins = view[_HEAD : _HEAD + 4 * _BINS].cast("I")
        sources = view[_HEAD + 4 * _BINS :].cast("Q")
        self.sent_at, self.came_at = sources[:_MOST_SOURCES], sources[_MOST_SOURCES:]

    @property
    def received(self) -> int:
        return self.numbers[0]

    @property
    def began(self) -> float:
        return self.times[2]

    @property
    def ended(self) -> float:
        """0 while the sender is at work."""
        return self.times[3]

    @staticmethod
    def by_source(counts: memoryview, sources: int) -> list[int]:
        return list(counts[:sources])

    def percentile(self, share: float) -> float:
        """In microseconds; of nothing it is 0."""
        left = share * sum(self.bins)
        for delay, count in enumerate(self.bins):
            left -= count
            if left < 0:
                return float(delay)
        return 0.0


def empty(sock: socket.socket) -> None:
    """Read what an earlier load has left."""
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sock.recv(1)


def _send(
    load: Load, sources: list[socket.socket], board: _Board, to: tuple[str, int] | None
) -> int:
    run, clock, sleep = load.run, time.monotonic, time.sleep
    rng = random.Random(1)  # noqa: S311 - the same sizes in each run
    size = load.size or LARGEST
    runs = [_marked(rng.randbytes(size * run), size, number) for number in range(len(sources))]
    segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))] if run > 1 else []
    sizes = [rng.randint(SMALLEST, LARGEST) for _ in range(1009)] if load.size == ANY_SIZE else []
    sent_at = [0] * len(sources)
    sent = lost = turns = seen = 0
    board.times[2] = start = moved_at = clock()
    end = start + load.seconds
    while (now := clock()) < end:
        if load.rate:
            due = start + (sent + run) / load.rate
            if due > now:
                if due - now > 15e-6:
                    sleep(due - now)
                continue
        if load.window:
            received = board.numbers[0]
            if received != seen:
                seen, moved_at = received, now
            elif now - moved_at > _SILENCE:  # all that was on the way is lost
                lost, moved_at = sent - received, now
            if sent - lost - received + run > load.window:
                sleep(20e-6)
                continue
        source = turns % len(sources)
        octets = runs[source]
        _MARK.pack_into(octets, 0, now, source)
        with suppress(ConnectionRefusedError):
            if segment or to:
                sources[source].sendmsg((octets,), segment, 0, to)
            else:
                sources[source].send(octets[: sizes[turns % 1009]] if sizes else octets)
        turns += 1
        sent += run
        sent_at[source] += run
    for source, count in enumerate(sent_at):
        board.sent_at[source] = count
    board.times[3] = clock()
    return 0


def _marked(octets: bytes, size: int, source: int) -> memoryview:
    """Datagrams of `size` octets, each with a mark that tells no time."""
    run = bytearray(octets)
    for at in range(0, len(run), size):
        _MARK.pack_into(run, at, 0.0, source)
    return memoryview(run)


def _count(load: Load, sink: socket.socket, board: _Board) -> int:
    """Count what comes, without reading more than the beginning of it."""
    clock, start = time.monotonic, memoryview(bytearray(_MARK.size))
    size, received, numbers, bins = load.size, 0, board.numbers, board.bins
    came_at = board.came_at
    # The sizes are known, so that a run needs no ancillary data.
    sink.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 0 if size == ANY_SIZE else 1)
    sink.setblocking(load.waits)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _WAIT)
    heard_at = clock()
    while True:
        try:
            length = sink.recv_into(start, _MARK.size, socket.MSG_TRUNC)
        except BlockingIOError:
            now = clock()
            if board.ended and now - max(heard_at, board.ended) > _SILENCE:
                return 0
            if not load.waits:
                time.sleep(100e-6)
            continue
        heard_at = clock()
        count = -(-length // size) if size else 1
        received += count
        numbers[0] = received
        if length >= _MARK.size:
            sent_at, source = _MARK.unpack(start)
            if source < _MOST_SOURCES:
                came_at[source] += count
            if sent_at > 0.0:
                bins[min(_BINS - 1, max(0, int((heard_at - sent_at) * 1e6)))] += 1
