"""One TCP service at one side: what its sockets, its QUIC connection and the paths say to each other.

The side that listens numbers the flows of the service: a flow is one QUIC connection. It outlives paths, and ends with the
process at the other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nat_traversal.aio.datapath import DataPath, Problem
from nat_traversal.aio.outbox import runs_with_room
from nat_traversal.aio.packet_io import SPARE_FILES, file_limit
from nat_traversal.aio.tcp_end import Key, TcpEnd
from nat_traversal.settings import ClientSettings
from nat_traversal.streams import actions as do
from nat_traversal.streams import quic
from nat_traversal.streams.actions import StreamAction, Why
from nat_traversal.streams.connection import Streams

GOODBYES = 3
"""Copies of the last word, which nobody acknowledges."""


class TcpSide:
    """One TCP service at this host: what both sides of it have in common. `problem` tells people of trouble."""

    def __init__(self, problem: Problem, settings: ClientSettings) -> None:
        self._problem = problem
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._most = min(
            quic.MOST_STREAMS, file_limit(quic.MOST_STREAMS + SPARE_FILES) - SPARE_FILES
        )
        self._path: DataPath | None = None
        self.to: int | None = None
        self._instance = b""
        """The process of the other side."""
        self._flow = -1
        """The number of the QUIC connection of now, or of the last one; -1: there was none."""
        self._streams: Streams | None = None
        self._ends: dict[Key, TcpEnd] = {}
        self._unsaid: list[bytes] = []
        """Datagrams that end that QUIC connection, as soon as there is a path."""
        self._flushes = False
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._has_left = False

    @property
    def flows(self) -> int:
        """TCP connections."""
        return len(self._ends)

    # The path

    def attach(self, path: DataPath | None) -> None:
        """Another path, the same one by another way, or none for now. Connections go on unless the other side is another
        process by now."""
        self._path = path
        if path is None:
            self._disarm()
            if self._patience is None and self._ends:
                within = self._settings.tcp_patience
                self._patience = self._loop.call_later(within, self._gives_up, within)
            return
        self._stop_patience()
        instance = path.order.instance
        if instance != self._instance or not instance:
            self._end_all("the other side has begun anew")
            self._flow, self._unsaid = -1, []
        self._instance = instance
        self._send(self._unsaid * GOODBYES)
        self._unsaid = []
        if self._streams is not None:
            self._carry_out(self._streams.hurry(self._loop.time()))
            self._flush_soon()

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None:
        """Datagrams of one QUIC connection."""
        if self._has_left:
            return
        datagrams = [bytes(payload) for payload in payloads]
        streams = self._streams if number == self._flow else self._another(number, datagrams[0])
        if streams is not None:
            self._carry_out(streams.arrived(datagrams, self._loop.time()))
            self._flush_soon()

    def expire(self, before: float) -> None:
        """TCP connections may be idle as long as they like."""

    def leave(self) -> None:
        """End every connection, with a word to the other side."""
        self._has_left = True
        self._part()
        self._send(self._unsaid * GOODBYES)
        self._unsaid = []
        self._end_all("")

    def close(self) -> None:
        """Free every socket."""
        self.leave()
        self._stop_patience()
        for end in self._ends.values():
            end.close()

    # What TCP connections say

    def room(self, key: Key) -> int:
        """As `tcp_end.Owner`."""
        streams = self._streams_of(key)
        return 0 if streams is None else streams.room(key[1])

    def came(self, key: Key, octets: bytes) -> None:
        """As `tcp_end.Owner`."""
        if (streams := self._streams_of(key)) is not None:
            streams.send(key[1], octets)
            self._flush_soon()

    def ended(self, key: Key) -> None:
        """As `tcp_end.Owner`."""
        if (streams := self._streams_of(key)) is not None:
            streams.end(key[1])
            self._flush_soon()

    def taken(self, key: Key, octets: int) -> None:
        """As `tcp_end.Owner`."""
        if (streams := self._streams_of(key)) is not None:
            streams.read(key[1], octets)
            self._flush_soon()

    def broke(self, key: Key) -> None:
        """As `tcp_end.Owner`."""
        self._break_off(key, Why.RESET)

    def done(self, key: Key) -> None:
        """As `tcp_end.Owner`."""
        del self._ends[key]

    def _streams_of(self, key: Key) -> Streams | None:
        """The QUIC connection of a TCP connection; None: it has ended."""
        return self._streams if key[0] == self._flow else None

    def _break_off(self, key: Key, why: Why) -> None:
        self._reset(key)
        if (streams := self._streams_of(key)) is not None:
            streams.break_off(key[1], why)
            self._flush_soon()

    def _reset(self, key: Key) -> None:
        end = self._ends.pop(key, None)
        if end is not None:
            end.reset()

    # What the other side says

    def _another(self, _number: int, _first: bytes) -> Streams | None:
        """The QUIC connection with that number, if the other side may begin one with the datagram `_first`."""
        return None

    def _opened(self, key: Key) -> None:
        """The other side has a new connection."""

    def _broken(self, key: Key, _why: int) -> None:
        """The other side has broken one off."""
        self._reset(key)

    def _carry_out(self, actions: Sequence[StreamAction]) -> None:
        flow, written = self._flow, dict[Key, TcpEnd]()
        for action in actions:
            match action:
                case do.Received(stream, octets):
                    if (end := self._ends.get((flow, stream))) is not None:
                        end.write(octets)
                        written[flow, stream] = end
                case do.Granted(stream):
                    if (end := self._ends.get((flow, stream))) is not None:
                        end.resume()
                case do.Ended(stream):
                    if (end := self._ends.get((flow, stream))) is not None:
                        end.end()
                        written[flow, stream] = end
                case do.Opened(stream):
                    self._opened((flow, stream))
                case do.Broken(stream, why):
                    self._broken((flow, stream), why)
                case do.Closed(reason):
                    self._flush()
                    self._end_all(reason or "the other side has ended them")
        for end in written.values():
            end.flush()

    def _part(self) -> None:
        """Prepare the last word to the other side."""
        if self._streams is not None:
            self._streams.close()
            self._unsaid = self._streams.datagrams(self._loop.time())

    def _end_all(self, reason: str) -> None:
        """The QUIC connection is over. `reason`: for people; empty: it was this side's wish."""
        self._streams = None
        self._disarm()
        broken = [key for key, end in self._ends.items() if not end.is_settled]
        for key in broken:
            self._reset(key)
        if broken and reason:
            self._problem(f"connections ended ({len(broken)}): {reason}")

    def _gives_up(self, within: float) -> None:
        self._patience = None
        self._part()
        self._end_all(f"no path to the other side for {within:g} s")

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # Datagrams and time

    def _flush_soon(self) -> None:
        """Once all that is at hand has been read."""
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes = False
        streams, path = self._streams, self._path
        if streams is None or path is None or self.to is None:
            return
        if path.whole != self._size:
            self._size = path.whole
            streams.resize(self._size)
        self._send(streams.datagrams(self._loop.time()))
        self._arm(streams)

    def _send(self, datagrams: Sequence[bytes]) -> None:
        """Send them, if there is a path; QUIC sends them again if need be."""
        path, to = self._path, self.to
        if path is None or to is None or not datagrams:
            return
        for run in runs_with_room(datagrams):
            path.send_run(self._flow, to, run)
        path.flush()

    def _arm(self, streams: Streams) -> None:
        self._disarm()
        deadline = streams.deadline
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._streams is not None:
            self._carry_out(self._streams.due(self._loop.time()))
            self._flush()
