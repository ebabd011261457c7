"""TCP as the two machines see it: an ordered stream of octets that arrives late, or ends."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from nat_traversal.aio.tls import TlsStream
from nat_traversal.errors import WireError
from nat_traversal.machine import events as e
from nat_traversal.wire import datagrams
from nat_traversal.wire.streamed import Incoming
from tests.sim.clock import Clock


class End:
    """One end of a connection. Set `on_data` and `on_end`; after `close` neither is called."""

    def __init__(self, clock: Clock, delay: float, rng: random.Random | None) -> None:
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.on_end: Callable[[str], None] = lambda reason: None
        self.other: End = self
        self.written: list[bytes] = []
        """Everything written at this end, for tests that count."""
        self.tls: TlsStream | None = None
        self.incoming = Incoming()
        self.is_cut = False
        """A silently broken line: what is written at this end never arrives."""
        self.is_gone = False
        """This end does not know the connection (any more): what arrives is answered with a reset."""
        self._clock = clock
        self._delay = delay
        self._rng = rng
        self._arriving: deque[tuple[float, bytes | None]] = deque()

    def write(self, data: bytes) -> None:
        """Octets that arrive in order; those written at one moment arrive as one segment."""
        assert not self.is_gone, "written after close"
        self.written.append(data)
        self.send(data if self.tls is None else self.tls.send(data))

    def send(self, data: bytes) -> None:
        """These octets, as they are."""
        if data:
            self._send(data)

    def close(self) -> None:
        """All that is written still arrives, then the other end sees the end of the stream."""
        if not self.is_gone:
            self._send(None)
            self.forget()

    def reset(self) -> None:
        """As after a crash that the kernel tells: both ends see a broken connection."""
        self.other._reset_arrives_later()
        if not self.is_gone:
            self.forget()

    def forget(self) -> None:
        """As after a power cut: this end is gone, and nobody is told until something arrives."""
        self.is_gone = True
        self._arriving.clear()

    def _send(self, data: bytes | None) -> None:
        if self.is_cut:
            return
        delay = self._delay * (self._rng.uniform(1.0, 1.5) if self._rng else 1.0)
        queue = self.other._arriving
        at = max(self._clock.now + delay, queue[-1][0] if queue else 0.0)
        queue.append((at, data))
        self._clock.at(at, self.other._arrive)

    def _arrive(self) -> None:
        if self.is_gone:
            if not self.is_cut:
                self.other._reset_arrives_later()
            return
        data, ended = b"", False
        while self._arriving and self._arriving[0][0] <= self._clock.now:
            chunk = self._arriving.popleft()[1]
            ended = ended or chunk is None
            data += chunk or b""
        for segment in self._segments(data):
            if not self.is_gone:
                self.on_data(segment)
        if ended and not self.is_gone:
            self.forget()
            self.on_end("the other end closed the connection")

    def _segments(self, data: bytes) -> list[bytes]:
        if self._rng is None or len(data) < 2:
            return [data] if data else []
        cuts = sorted(self._rng.sample(range(1, len(data)), min(3, len(data) - 1)))
        return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def _reset_arrives_later(self) -> None:
        def arrives() -> None:
            if not self.is_gone:
                self.forget()
                self.on_end("connection reset")

        self._clock.at(self._clock.now + self._delay, arrives)


def connection(clock: Clock, delay: float, rng: random.Random | None) -> tuple[End, End]:
    """A connection with `delay` seconds one way. With `rng`: jitter, and segments cut anywhere."""
    one, two = End(clock, delay, rng), End(clock, delay, rng)
    one.other, two.other = two, one
    return one, two


def attach(
    end: End,
    connection: e.ConnectionId,
    feed: Callable[[e.Event], None],
    tls: TlsStream | None = None,
) -> None:
    """Do what an adapter does: turn what comes in at `end` into events.

    The TLS is the real one. A client's handshake begins when `end.on_data` is called with nothing.
    """
    end.incoming = incoming = Incoming()
    end.tls = tls

    def in_clear(data: bytes) -> bytes:
        if tls is None:
            return data
        began_ready = tls.is_ready
        data = tls.receive(data)
        end.send(tls.outgoing())
        if tls.is_ready and not began_ready and not tls.is_server:
            feed(e.ControlOpened(connection, certificate=tls.fingerprint()))
        return data

    def on_data(data: bytes) -> None:
        try:
            for item in incoming.feed(in_clear(data)):
                if end.is_gone:
                    return
                if isinstance(item, bytes):
                    feed(e.StreamArrived(datagrams.decode(item), connection))
                else:
                    feed(e.ControlReceived(item, connection))
        except WireError as error:
            if not end.is_gone:
                feed(e.ControlGarbled(str(error), connection))

    end.on_data = on_data
    end.on_end = lambda reason: feed(e.ControlBroken(reason, connection))
