"""Programs' sockets on either side of a path, one flow for each local program.

The side with `--listen` numbers the flows: one for each address that sends to its port. The side with
`--connect` has a socket for each flow, so every program gets its own replies. One client
may do both. Flows outlive paths: they end with the process at the other side, or when they are idle.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import DataPath, Delivery, Problem, Traffic, slots_for
from nat_traversal.aio.packet_io import AnsweringSocket, Local, Received, Slots, open_udp
from nat_traversal.aio.soft_errors import not_sent
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort


@dataclass(slots=True)
class _ListenFlow:
    """One local program that sent to `--listen`."""

    key: tuple[tuple[str, int], str]
    number: int
    source: tuple[str, int]
    local: Local
    used_at: float


class Listener:
    """The `--listen` side: one socket, a flow for each program that sends to it."""

    def __init__(
        self, at: HostPort, counters: Counters, problem: Problem, settings: ClientSettings
    ) -> None:
        self._socket = AnsweringSocket(open_udp(Endpoint(at.host, at.port), settings.socket_buffer))
        self._traffic = Traffic(counters)
        self._settings = settings
        self._problem = problem
        self._loop = asyncio.get_running_loop()
        self._flows: OrderedDict[tuple[tuple[str, int], str], _ListenFlow] = OrderedDict()
        self._by_number: dict[int, _ListenFlow] = {}
        self._next_number = 0
        self._path: DataPath | None = None
        self._slots = Slots()
        self._loop.add_reader(self._socket.sock, self._readable)

    @property
    def endpoint(self) -> Endpoint:
        return self._socket.endpoint

    @property
    def flows(self) -> int:
        return len(self._flows)

    def attach(self, path: DataPath | None) -> None:
        """Flows go on: this side numbers them, and never uses a number twice."""
        self._path = path
        self._slots = slots_for(path, self._slots)

    def deliver(self, number: int, payload: memoryview) -> None:
        flow = self._by_number.get(number)
        if flow is None:
            self._traffic.unclaimed.value += 1
            return
        self._flows.move_to_end(flow.key)
        flow.used_at = self._loop.time()
        try:
            self._socket.answer(payload, flow.source, flow.local)
        except OSError as error:
            self._traffic.unsendable.value += 1
            reason = not_sent(error, len(payload))
            self._problem(f"a reply to {flow.source[0]}:{flow.source[1]} was not sent: {reason}")

    def expire(self, before: float) -> None:
        for flow in [flow for flow in self._flows.values() if flow.used_at < before]:
            self._drop(flow)

    def close(self) -> None:
        self._loop.remove_reader(self._socket.sock)
        self._socket.close()

    def _readable(self) -> None:
        now, left = self._loop.time(), self._settings.batch
        is_last = False
        while left > 0 and not is_last:
            batch, is_last = self._socket.receive(self._slots)
            left -= max(1, len(batch))
            if self._path is not None:
                self._forward(self._path, batch, now)
            elif batch:
                self._traffic.unsendable.value += len(batch)
                self._problem("datagrams from local programs are dropped until a path stands")

    def _forward(self, path: DataPath, batch: list[Received], now: float) -> None:
        """Hand datagrams to the path: those of one program that came in a row together."""
        run: list[memoryview] = []
        sender: tuple[tuple[str, int], Local] | None = None
        for frame, source, local in batch:
            if (source, local) != sender:
                self._send(path, sender, run, now)
                run, sender = [], (source, local)
            run.append(frame)
        self._send(path, sender, run, now)

    def _send(
        self,
        path: DataPath,
        sender: tuple[tuple[str, int], Local] | None,
        run: list[memoryview],
        now: float,
    ) -> None:
        if sender is not None:
            path.send_frames(self._flow(*sender, now).number, True, run)

    def _flow(self, source: tuple[str, int], local: Local, now: float) -> _ListenFlow:
        key = (source, local.address if local else "")
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._settings.flows:
                self._drop(next(iter(self._flows.values())))
            self._next_number = (self._next_number + 1) % 2**32
            flow = _ListenFlow(key, self._next_number, source, local, now)
            self._flows[key] = self._by_number[flow.number] = flow
        self._flows.move_to_end(key)
        flow.used_at = now
        return flow

    def _drop(self, flow: _ListenFlow) -> None:
        del self._flows[flow.key]
        del self._by_number[flow.number]


class ProgramForwarder:
    """The `Forwarder` of the command line client: a `Listener`, a `Connector`, or both."""

    def __init__(
        self,
        counters: Counters,
        listener: Listener | None,
        connector: Connector | None,
        problem: Problem,
        settings: ClientSettings,
    ) -> None:
        self._traffic = Traffic(counters)
        self._listener = listener
        self._connector = connector
        self._problem = problem
        self._idle = settings.flow_idle
        self._loop = asyncio.get_running_loop()
        self._sweep = self._loop.call_later(self._idle / 4, self._expire)

    def path_up(self, path: DataPath) -> None:
        self._attach(path)

    def path_down(self) -> None:
        self._attach(None)

    def deliver(self, batch: Sequence[Delivery]) -> None:
        for flow, from_listener, payload in batch:
            side = self._connector if from_listener else self._listener
            if side is not None:
                side.deliver(flow, payload)
                continue
            self._traffic.unclaimed.value += 1
            option = "--connect" if from_listener else "--listen"
            self._problem(f"the other side sends datagrams, but this side has no {option}")

    def not_sent(self, reason: str) -> None:
        self._problem(f"a datagram to the other side was {reason}")

    def close(self) -> None:
        self._sweep.cancel()
        for side in (self._listener, self._connector):
            if side is not None:
                side.close()

    def _attach(self, path: DataPath | None) -> None:
        for side in (self._listener, self._connector):
            if side is not None:
                side.attach(path)

    def _expire(self) -> None:
        before = self._loop.time() - self._idle
        for side in (self._listener, self._connector):
            if side is not None:
                side.expire(before)
        self._sweep = self._loop.call_later(self._idle / 4, self._expire)
