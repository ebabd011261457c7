"""Programs' sockets on either side of a path, one flow for each local program.

The side with `--listen` numbers the flows: one for each address that sends to its port. The side with
`--connect` has a socket for each flow, so every program gets its own replies. One client
may do both. Flows outlive paths: they end with the process at the other side, or when they are idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nat_traversal.aio import program_ports
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import FROM_LISTENER, DataPath, Problem
from nat_traversal.aio.flow_table import FlowTable, evictions
from nat_traversal.aio.inbox import Delivery
from nat_traversal.aio.offload import Ancillary, RunSocket, tray_for_reading
from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.aio.packet_io import ALONE, BATCH, AnsweringSocket, Batch, Origin, open_udp
from nat_traversal.aio.soft_errors import not_sent
from nat_traversal.aio.traffic import Traffic
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort

_Key = tuple[tuple[str, int], str]
"""A program's address and port, and the address that it asked."""


@dataclass(slots=True)
class _ListenFlow:
    """One local program that sent to `--listen`."""

    key: _Key
    number: int
    source: tuple[str, int]
    ancillary: Ancillary
    """For a reply to leave from the address that was asked."""
    used_at: float


class Listener:
    """The `--listen` side: one socket, a flow for each program that sends to it."""

    def __init__(
        self, at: HostPort, counters: Counters, problem: Problem, settings: ClientSettings
    ) -> None:
        self._socket = AnsweringSocket(open_udp(Endpoint(at.host, at.port), settings.socket_buffer))
        self._io = RunSocket(
            self._socket.sock,
            tray_for_reading(HEADROOM),
            self._failed,
            lambda _: None,  # of errors that come late hardly any reach an unconnected socket
            headroom=HEADROOM,
            offload=bool(settings.offload),
            connected=False,
            pktinfo=self._socket.is_wildcard,
        )
        self._traffic = Traffic(counters)
        self._settings = settings
        self._problem = problem
        self._loop = asyncio.get_running_loop()
        self._flows: FlowTable[_Key, _ListenFlow] = FlowTable()
        self._by_source: dict[str, FlowTable[_Key, _ListenFlow]] = {}
        """The same flows by the address that they come from."""
        self._evicted = evictions(counters)
        self._by_number: dict[int, _ListenFlow] = {}
        self._next_number = 0
        self._path: DataPath | None = None
        self.to: int | None = FROM_LISTENER
        self._read_at = 0.0
        self._latest: tuple[Origin | None, _ListenFlow | None] = None, None
        """The flow of the last datagram, and where that came from: as a rule the next one comes from there too."""
        self._answering: tuple[str, int] = ("", 0)
        self._loop.add_reader(self._socket.sock, self._readable)
        program_ports.begun(self.endpoint)

    @property
    def endpoint(self) -> Endpoint:
        return self._socket.endpoint

    @property
    def flows(self) -> int:
        return len(self._flows)

    def attach(self, path: DataPath | None) -> None:
        """Flows go on: this side numbers them, and never uses a number twice."""
        self._path = path

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None:
        """Replies to one program."""
        flow = self._by_number.get(number)
        if flow is None:
            self._traffic.unclaimed.value += len(payloads)
            return
        self._answering = flow.source
        self._io.send_parts(payloads, flow.source, flow.ancillary)
        self._flows.answers(flow.key, flow)
        self._by_source[flow.source[0]].answers(flow.key, flow)
        flow.used_at = self._loop.time()

    def expire(self, before: float) -> None:
        for flow in [flow for flow in self._flows if flow.used_at < before]:
            self._drop(flow)

    def leave(self) -> None:
        """Nothing."""

    def close(self) -> None:
        self._loop.remove_reader(self._socket.sock)
        program_ports.ended(self.endpoint)
        self._socket.close()

    def _readable(self) -> None:
        now = self._loop.time()
        is_alone, self._read_at = now - self._read_at > ALONE, now
        left = self._settings.batch
        is_last = False
        while left > 0 and not is_last:
            batch = self._io.receive(1 if is_alone else BATCH)
            is_last = batch.is_last or is_alone
            left -= max(1, batch.total)
            if self._path is None or self.to is None:
                self._without_path(batch)
            elif is_alone and batch.runs:
                flow = self._flow(batch.origins[0], now)
                self._path.send_alone(flow.number, self.to, batch.runs[0], now)
                self._asks(flow, now)
            elif not is_alone:
                self._forward(self._path, self.to, batch, now, more=left > 0 and not is_last)

    def _without_path(self, batch: Batch) -> None:
        if batch.runs:
            self._traffic.unsendable.value += batch.total
            until = "a path stands" if self._path is None else "the other side has their service"
            self._problem(f"datagrams from local programs are dropped until {until}")

    def _forward(self, path: DataPath, to: int, batch: Batch, now: float, *, more: bool) -> None:
        """Hand datagrams to the path: those of all programs together."""
        for run, origin in zip(batch.runs, batch.origins, strict=True):
            flow = self._flow(origin, now)
            path.send_run(flow.number, to, run)
            self._asks(flow, now)
        path.flush(more=more)

    def _asks(self, flow: _ListenFlow, now: float) -> None:
        """Note that its program has sent, once the datagram has left."""
        self._flows.asks(flow.key, flow)
        self._by_source[flow.source[0]].asks(flow.key, flow)
        flow.used_at = now

    def _flow(self, origin: Origin, now: float) -> _ListenFlow:
        latest, flow = self._latest
        if latest != origin or flow is None:
            flow = self._flow_of(origin, now)
            self._latest = origin, flow
        return flow

    def _flow_of(self, origin: Origin, now: float) -> _ListenFlow:
        source, told = origin
        local = self._socket.local(told)
        key = (source, local.address if local else "")
        flow = self._flows.get(key)
        if flow is not None:
            return flow
        self._make_room(source[0])
        self._next_number = (self._next_number + 1) % 2**32
        flow = _ListenFlow(key, self._next_number, source, self._socket.sent_from(local), now)
        self._by_number[flow.number] = flow
        for table in (self._flows, self._by_source.setdefault(source[0], FlowTable())):
            table.add(key, flow)
        return flow

    def _make_room(self, source: str) -> None:
        """For one more flow of that address."""
        own = self._by_source.get(source)
        if own is not None and len(own) >= self._settings.flows_per_source:
            self._evict(own, f"{len(own)} programs at {source}")
        elif len(self._flows) >= self._settings.flows:
            self._evict(self._flows, f"{len(self._flows)} programs")

    def _evict(self, table: FlowTable[_Key, _ListenFlow], most: str) -> None:
        self._evicted.value += 1
        self._problem(f"{most} at a time: the one that is idle longest makes room")
        self._drop(table.longest_idle())

    def _failed(self, error: OSError, datagram: memoryview) -> None:
        self._traffic.unsendable.value += 1
        host, port = self._answering[:2]
        reason = not_sent(error, len(datagram))
        self._problem(f"a reply to {host}:{port} was not sent: {reason}")

    def _drop(self, flow: _ListenFlow) -> None:
        self._latest = None, None
        own = self._by_source[flow.source[0]]
        for table in (self._flows, own):
            table.remove(flow.key)
        if not own:
            del self._by_source[flow.source[0]]
        del self._by_number[flow.number]


class ServiceEnd(Protocol):
    """One service at this host, towards its programs. A further kind of service is one more of these."""

    to: int | None
    """The direction that its datagrams to the peer bear; None: the peer has no such service."""

    @property
    def flows(self) -> int:
        """Programs that it has heard of lately."""

    def attach(self, path: DataPath | None) -> None:
        """Another path, the same one by another way, or none for now."""

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None:
        """Datagrams of one flow of the peer's."""

    def expire(self, before: float) -> None:
        """Forget the flows that were used last before that."""

    def leave(self) -> None:
        """Say what is to be said before the path ends. Nothing is sent or delivered after it."""

    def close(self) -> None: ...


class ProgramForwarder:
    """The `Forwarder` of the command line client: the unnamed service's `Listener`, `Connector` or both, and any
    number of named services, by this side's numbers."""

    def __init__(
        self,
        counters: Counters,
        listener: Listener | None,
        connector: Connector | None,
        problem: Problem,
        settings: ClientSettings,
    ) -> None:
        self._traffic = Traffic(counters)
        self._ends: dict[int, ServiceEnd] = {}
        """By the direction of what comes for them."""
        self._numbers: Mapping[int, int] = {}
        """This side's numbers of the named services that the peer has too, and its own."""
        self.certificate = b""
        """Of the peer's process, for TCP services."""
        self._path: DataPath | None = None
        self._problem = problem
        self._idle = settings.flow_idle
        self._loop = asyncio.get_running_loop()
        self._sweep = self._loop.call_later(self._idle / 4, self._expire)
        if listener is not None:
            self._ends[0] = listener
        if connector is not None:
            self._ends[FROM_LISTENER] = connector

    def add(self, number: int, end: ServiceEnd, *, listens: bool) -> None:
        """This side has the named service `number` from now on: its programs send first (`listens`), or the peer's."""
        self._ends[_incoming(number, listens=listens)] = end
        self._set_direction(number, end, listens=listens)
        end.attach(self._path)

    def remove(self, number: int) -> None:
        """This side has the named service no more."""
        for listens in (True, False):
            end = self._ends.pop(_incoming(number, listens=listens), None)
            if end is not None:
                end.close()

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None:
        """These named services cross: this side's numbers, and the peer's."""
        self._numbers, self.certificate = numbers, certificate
        for direction, end in self._ends.items():
            if direction > FROM_LISTENER:
                listens = not direction & FROM_LISTENER
                self._set_direction(direction >> 1, end, listens=listens)

    def flows_of(self, number: int) -> int:
        """Programs of the service with that number; 0 is the unnamed one."""
        ways = [self._ends.get(_incoming(number, listens=each)) for each in (True, False)]
        return sum(end.flows for end in ways if end is not None)

    def path_up(self, path: DataPath) -> None:
        self._attach(path)

    def path_down(self) -> None:
        self._attach(None)

    def deliver(self, batch: Sequence[Delivery]) -> None:
        for flow, direction, payloads in batch:
            end = self._ends.get(direction)
            if end is not None:
                end.deliver(flow, payloads)
                continue
            self._traffic.unclaimed.value += len(payloads)
            if direction > FROM_LISTENER:
                self._problem("the other side sends datagrams of a service that this side has not")
                continue
            option = "--connect" if direction else "--listen"
            self._problem(f"the other side sends datagrams, but this side has no {option}")

    def not_sent(self, reason: str) -> None:
        self._problem(f"a datagram to the other side was {reason}")

    def leave(self) -> None:
        """Say goodbye while a path stands."""
        for end in self._ends.values():
            end.leave()

    def close(self) -> None:
        self._sweep.cancel()
        for end in self._ends.values():
            end.close()

    def _set_direction(self, number: int, end: ServiceEnd, *, listens: bool) -> None:
        theirs = self._numbers.get(number)
        end.to = None if theirs is None else theirs << 1 | FROM_LISTENER * listens

    def _attach(self, path: DataPath | None) -> None:
        self._path = path
        for end in self._ends.values():
            end.attach(path)

    def _expire(self) -> None:
        before = self._loop.time() - self._idle
        for end in self._ends.values():
            end.expire(before)
        self._sweep = self._loop.call_later(self._idle / 4, self._expire)


def _incoming(number: int, *, listens: bool) -> int:
    """The direction of what comes for that service: from the peer's listener where this side does not listen."""
    return number << 1 | FROM_LISTENER * (not listens)
