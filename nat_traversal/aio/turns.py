"""Control messages at the server: read in small pieces, and handled in turns that are fair to every source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nat_traversal.aio.control_connection import ConnectionSettings, ControlProtocol
from nat_traversal.aio.tls import TlsStream
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import ConnectionId, Event
from nat_traversal.server.buckets import Bucket
from nat_traversal.server.control_budget import GARBLED, HANDSHAKE, ControlBudget, weight
from nat_traversal.server.fair_queue import FairQueue, Rank
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.messages import Message, Registered, RelayJoined

SLICE = 0.004
"""Seconds of messages at a time, before the event loop looks after the others again."""


class Turns:
    """The connections that have something to say, one message of each source after the other.

    A source within its budget comes first; hosts that have registered take turns there with newcomers. All
    others share a part of the processor's time. Their words stay unparsed meanwhile, their sockets unread.
    """

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._loop = asyncio.get_running_loop()
        self._budget = ControlBudget(settings)
        self._share = settings.control_share
        self._queue: FairQueue[MeteredProtocol] = FairQueue()
        self._rest_until = 0.0
        self._next: asyncio.Handle | None = None
        self._is_running = False
        self._late = counters.counter(
            "messages-deferred", "a control message waited: its source had said much"
        )

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets hold from now on."""
        self._budget.reconfigure(settings)
        self._share = settings.control_share

    def want(self, protocol: MeteredProtocol) -> None:
        """`protocol` has something to say."""
        source, is_within, rank = protocol.source, True, protocol.rank
        if source:
            now = self._loop.time()
            protocol.budget = budget = self._budget.of(source, now)
            if not budget.has(now):
                is_within, rank = False, Rank.BUSY
                self._late.value += 1
        self._queue.put(protocol, source, rank)
        if self._next is None and not self._is_running:
            self._next = self._loop.call_soon(self._run)
        elif is_within and isinstance(self._next, asyncio.TimerHandle):  # it waits for the others
            self._next.cancel()
            self._next = self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._next, self._is_running = None, True
        try:
            self._slice()
        finally:
            self._is_running = False
            if self._queue.has_urgent:
                self._next = self._loop.call_soon(self._run)
            elif self._queue:
                self._next = self._loop.call_at(self._rest_until, self._run)

    def _slice(self) -> None:
        clock, queue = self._loop.time, self._queue
        began = now = clock()
        end = began + SLICE
        while now < end and (urgent := queue.pop_urgent()) is not None:
            urgent.turn(now)
            now = clock()
        if now < self._rest_until:
            return
        began = now
        while now < end and (other := queue.pop_other()) is not None:
            other.turn(now)
            now = clock()
        self._rest_until = now + (now - began) * (1.0 / self._share - 1.0)


class MeteredProtocol(ControlProtocol):
    """The server's end of a control connection: its messages wait for their turn in `turns`."""

    def __init__(
        self,
        connection: ConnectionId,
        feed: Callable[[Event], None],
        settings: ConnectionSettings,
        tls: TlsStream | None,
        *,
        turns: Turns,
        source: str,
    ) -> None:
        super().__init__(connection, feed, settings, tls)
        self.source = source
        """Where it comes from (`source_of`)."""
        self.rank = Rank.NEW
        """Its rank, if its source is within the budget."""
        self.budget: Bucket | None = None
        """Of its source, while it waits for its turn; None: its source is not known."""
        self._turns = turns
        self._unread = bytearray()
        """Octets from the wire that TLS has not seen."""
        self._is_waiting = self._is_held = False

    def send(self, message: Message) -> None:
        if isinstance(message, Registered | RelayJoined):
            self.rank = Rank.KNOWN
        super().send(message)

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self._taken(data)
            if not self._has_next():
                return
        else:
            self._unread += data
        if not self._is_waiting:
            self._is_waiting = True
            self._turns.want(self)
        elif not self._is_held:
            self._is_held = True
            self.transport.pause_reading()

    def turn(self, now: float) -> None:
        """Handle one message, then wait for the next turn or for more octets."""
        self._is_waiting = False
        budget, self.budget = self.budget, None
        if self._over:
            return
        units = self._step()
        if budget is not None:
            budget.charge(now, units)
        if self._unread or self._has_next():
            self._is_waiting = True
            self._turns.want(self)
        elif self._is_held:
            self._is_held = False
            self.transport.resume_reading()

    def _has_next(self) -> bool:
        return not self._over and self._incoming.has_next()

    def _step(self) -> float:
        """Handle one message, or the datagrams that are there. The units that it costs."""
        units = 0.0
        if self._unread:
            if self._tls is not None and not self._tls.is_ready:
                units = HANDSHAKE
            data = bytes(self._unread)
            self._unread.clear()
            self._taken(data)
            if not self._has_next():
                return units
        item = self._next_item()
        while isinstance(item, bytes) and self._has_next():
            item = self._next_item()
        if item is None:
            return units + GARBLED
        return units + (1.0 if isinstance(item, bytes) else weight(item))
