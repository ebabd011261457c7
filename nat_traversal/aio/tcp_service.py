"""TCP services: each connection of a program is a stream of one QUIC connection, whose datagrams are a service's flow.

The side that listens begins QUIC with the first connection, and numbers the flows: a flow is one QUIC connection. It outlives
paths, and ends with the process at the other side.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence

from nat_traversal.aio.accepting import Address, Door
from nat_traversal.aio.datapath import DataPath, Problem
from nat_traversal.aio.dial import connected
from nat_traversal.aio.outbox import runs_with_room
from nat_traversal.aio.packet_io import SPARE_FILES, endpoint_of, file_limit
from nat_traversal.aio.ports import bind_tcp
from nat_traversal.aio.service import Service
from nat_traversal.aio.tcp_end import TcpEnd
from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.machine.failures import in_words
from nat_traversal.settings import ClientSettings
from nat_traversal.streams import actions as do
from nat_traversal.streams import quic
from nat_traversal.streams.actions import StreamAction, Why
from nat_traversal.streams.connection import Streams
from nat_traversal.wire.endpoint import Endpoint, HostPort

_BACKLOG, _BURST = 1024, 32


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
        self._flow: int | None = None
        """The number of the QUIC connection of now, or of the last one."""
        self._streams: Streams | None = None
        self._ends: dict[int, TcpEnd] = {}
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
        """Another path, or none for now. Connections go on unless the other side is another process by now."""
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
            self._flow = None
        self._instance = instance
        if self._streams is not None:
            self._carry_out(self._streams.hurry(self._loop.time()))
            self._flush_soon()

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None:
        """Datagrams of one QUIC connection."""
        if self._has_left:
            return
        now = self._loop.time()
        for payload in payloads:
            octets = bytes(payload)
            streams = self._streams if number == self._flow else self._another(number, octets)
            if streams is not None:
                self._carry_out(streams.arrived(octets, now))
        self._flush_soon()

    def expire(self, before: float) -> None:
        """TCP connections may be idle as long as they like."""

    def leave(self) -> None:
        """End every connection, with a word to the other side."""
        if self._streams is not None:
            self._streams.close()
            self._flush()
        self._end_all("")
        self._has_left = True

    def close(self) -> None:
        self.leave()
        self._stop_patience()

    # What TCP connections say

    def room(self, stream: int) -> int:
        """As `tcp_end.Owner`."""
        return 0 if self._streams is None else self._streams.room(stream)

    def came(self, stream: int, octets: bytes) -> None:
        """As `tcp_end.Owner`."""
        assert self._streams is not None
        self._streams.send(stream, octets)
        self._flush_soon()

    def ended(self, stream: int) -> None:
        """As `tcp_end.Owner`."""
        if self._streams is not None:
            self._streams.end(stream)
            self._flush_soon()

    def taken(self, stream: int, octets: int) -> None:
        """As `tcp_end.Owner`."""
        if self._streams is not None:
            self._streams.read(stream, octets)
            self._flush_soon()

    def broke(self, stream: int) -> None:
        """As `tcp_end.Owner`."""
        self._break_off(stream, Why.RESET)

    def done(self, stream: int) -> None:
        """As `tcp_end.Owner`."""
        self._ends.pop(stream, None)

    def _break_off(self, stream: int, why: Why) -> None:
        end = self._ends.pop(stream, None)
        if end is not None:
            end.reset()
        if self._streams is not None:
            self._streams.break_off(stream, why)
            self._flush_soon()

    # What the other side says

    def _another(self, _number: int, _first: bytes) -> Streams | None:
        """The QUIC connection with that number, if the other side may begin one with the datagram `_first`."""
        return None

    def _opened(self, stream: int) -> None:
        """The other side has a new connection."""

    def _broken(self, stream: int, _why: int) -> None:
        """The other side has broken one off."""
        end = self._ends.pop(stream, None)
        if end is not None:
            end.reset()

    def _carry_out(self, actions: Sequence[StreamAction]) -> None:
        for action in actions:
            match action:
                case do.Opened(stream):
                    self._opened(stream)
                case do.Received(stream, octets):
                    if (end := self._ends.get(stream)) is not None:
                        end.write(octets)
                case do.Granted(stream):
                    if (end := self._ends.get(stream)) is not None:
                        end.resume()
                case do.Ended(stream):
                    if (end := self._ends.get(stream)) is not None:
                        end.end()
                case do.Broken(stream, why):
                    self._broken(stream, why)
                case do.Closed(reason):
                    self._flush()
                    self._end_all(reason or "the other side has ended them")

    def _end_all(self, reason: str) -> None:
        """The QUIC connection is over. `reason`: for people; empty: it was this side's wish."""
        self._streams = None
        self._disarm()
        ends, self._ends = self._ends, {}
        for end in ends.values():
            end.reset()
        if ends and reason:
            self._problem(f"connections ended ({len(ends)}): {reason}")

    def _gives_up(self, within: float) -> None:
        self._patience = None
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
        streams, path, to = self._streams, self._path, self.to
        if streams is None or path is None or to is None or self._flow is None:
            return
        if path.whole != self._size:
            self._size = path.whole
            streams.resize(self._size)
        for run in runs_with_room(streams.datagrams(self._loop.time())):
            path.send_run(self._flow, to, run)
        path.flush()
        self._arm(streams)

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


class TcpListener(TcpSide):
    """The side that listens for programs' connections at `at`. `certificate` gives that of the other side's process, or
    nothing. Raises `LocalAddressError`."""

    def __init__(
        self,
        at: HostPort,
        problem: Problem,
        settings: ClientSettings,
        certificate: Callable[[], bytes],
    ) -> None:
        super().__init__(problem, settings)
        self._certificate = certificate
        sock = bind_tcp(at.host, at.port)
        self._endpoint = endpoint_of(sock.getsockname())
        self._door = Door(
            [sock],
            backlog=_BACKLOG,
            burst=_BURST,
            admit=self._admit,
            taken=self._taken,
            out_of_files=lambda error: self._problem(f"connections wait: {in_words(error)}"),
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return self._endpoint

    def close(self) -> None:
        """Take no more, and end all."""
        self._door.close()
        super().close()

    def _admit(self, _: Address) -> bytes | None:
        problem = self._lack()
        if problem is None:
            return None
        self._problem(f"connections are refused {problem}")
        return b""

    def _lack(self) -> str | None:
        if self._path is None:
            return "until a path stands"
        if self.to is None:
            return "until the other side has their service"
        if len(self._ends) >= self._most:
            return f"while there are {self._most}"
        if self._streams is not None:
            return None
        try:
            self._begin()
        except KeyRefusedError as error:
            return f"since {error}"
        return None

    def _begin(self) -> None:
        assert self._path is not None
        self._size = self._path.whole
        self._flow = 0 if self._flow is None else self._flow + 1
        self._streams = Streams(quic.client(self._certificate(), self._size), opens=True)
        self._streams.start(self._loop.time())

    def _taken(self, sock: socket.socket, _: Address) -> None:
        assert self._streams is not None, "admitted"
        stream = self._streams.open()
        end = self._ends[stream] = TcpEnd(self, stream)
        end.begin(sock)
        self._flush_soon()

    def _broken(self, stream: int, why: int) -> None:
        super()._broken(stream, why)
        if why == Why.UNREACHABLE:
            self._problem("the other side has no way to where it connects to")
        elif why == Why.FULL:
            self._problem("the other side has no room for more connections")


class TcpConnector(TcpSide):
    """The side that connects to `service`. `changed` hears when nothing listens there (False), and when something does
    again (True)."""

    def __init__(
        self,
        service: Service,
        problem: Problem,
        settings: ClientSettings,
        identity: quic.StreamIdentity,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        super().__init__(problem, settings)
        self._service = service
        self._identity = identity
        self._changed = changed
        self._is_down = False

    def attach(self, path: DataPath | None) -> None:
        """As `TcpSide`. Another network may know the service's name by another address."""
        super().attach(path)
        if path is not None:
            self._service.doubt()

    def close(self) -> None:
        """Connect no more, and end all."""
        self._service.close()
        super().close()

    def _another(self, number: int, first: bytes) -> Streams | None:
        if self._flow is not None and number <= self._flow:
            return None
        assert self._path is not None, "datagrams come by a path"
        self._size = self._path.whole
        try:
            connection = quic.server(self._identity, first, self._size)
        except WireError:
            return None
        self._end_all("the other side has begun anew")
        self._flow, self._streams = number, Streams(connection, opens=False)
        return self._streams

    def _opened(self, stream: int) -> None:
        if len(self._ends) >= self._most:
            self._break_off(stream, Why.FULL)
            return
        end = self._ends[stream] = TcpEnd(self, stream)
        end.connecting = self._loop.create_task(self._connect(stream, end))

    async def _connect(self, stream: int, end: TcpEnd) -> None:
        if not self._service.is_fresh:
            known: asyncio.Future[None] = self._loop.create_future()
            self._service.ask(lambda: None if known.done() else known.set_result(None))
            await known
        try:
            async with asyncio.timeout(self._settings.answer_within):
                sock, _ = await connected([*self._service.addresses])
        except OSError as error:  # a time-out among them
            end.connecting = None
            self._failed(stream, error)
            return
        end.connecting = None
        if self._is_down:
            self._is_down = False
            self._changed(True)
        end.begin(sock)

    def _failed(self, stream: int, error: OSError) -> None:
        if error.errno != errno.ECONNREFUSED:
            self._break_off(stream, Why.UNREACHABLE)
            self._problem(f"no way to {self._service}: {in_words(error)}")
            return
        self._break_off(stream, Why.REFUSED)
        self._problem(
            f"nothing listens on {self._service}: start the service or correct its address"
        )
        if not self._is_down:
            self._is_down = True
            self._changed(False)
