"""Programs' sockets on either side of a path, one flow for each local program.

The side with `--listen` numbers the flows: one for each address that sends to its port. The side with
`--connect` has a connected socket for each flow, so every program gets its own replies. One client
may do both.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nat_traversal.aio.datapath import DataPath, Delivery, Traffic
from nat_traversal.aio.packet_io import (
    SPARE_FILES,
    AnsweringSocket,
    Local,
    Received,
    Slots,
    file_limit,
    open_udp,
    receive_batch,
    socket_address,
    wildcard,
)
from nat_traversal.aio.service import Service
from nat_traversal.errors import UsageError
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort

log = logging.getLogger(__name__)

Problem = Callable[[str], None]
"""Tells the user of datagrams that could not be delivered, once for each kind of trouble."""


@dataclass(slots=True)
class _ListenFlow:
    """One local program that sent to `--listen`."""

    key: tuple[tuple[str, int], str]
    number: int
    source: tuple[str, int]
    local: Local
    used_at: float


@dataclass(slots=True)
class _ConnectFlow:
    """One program of the other side, and the socket towards the service for it."""

    number: int
    sock: socket.socket
    targets: Sequence[Endpoint]
    """The service's addresses when the flow began."""
    target: int
    """The index of the one that the socket is connected to."""
    used_at: float
    tries: int = 1
    """How many of the service's addresses have been tried for the latest datagram."""
    proven: bool = False
    """This address has answered, or there is no other."""
    unanswered: bytes | None = None
    """The latest datagram, for the next address; kept while this one is not proven."""


def _slots_for(path: DataPath | None) -> Slots:
    """Room for what local programs send, as `path` wants it."""
    return Slots(headroom=path.headroom, tailroom=path.tailroom) if path else Slots()


class Listener:
    """The `--listen` side: one socket, a flow for each program that sends to it."""

    def __init__(
        self, at: HostPort, counters: Counters, problem: Problem, settings: ClientSettings
    ) -> None:
        self._socket = AnsweringSocket(at.host, at.port, settings.socket_buffer)
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
        self._path = path
        self._slots = _slots_for(path)

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
            self._problem(f"a reply to {flow.source[0]}:{flow.source[1]} was not sent: {error}")

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


class Connector:
    """The `--connect` side: a connected socket for each flow that the other side has numbered.

    A datagram that one address of `service` refuses goes to the next, so that none is lost where a
    service listens on one address of its name only. If all refuse, the name is looked up again. Flows
    stay where they are unless they are refused. `changed` hears when the service begins to refuse
    everything (False), and when it answers again (True).
    """

    def __init__(
        self,
        service: Service,
        counters: Counters,
        problem: Problem,
        settings: ClientSettings,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._changed = changed
        self._is_down = False
        self._preferred: Endpoint | None = None
        """The address that answered last."""
        self._waiting: dict[int, list[bytes]] = {}
        """Datagrams of flows that begin once the service's addresses are known."""
        self._kept = 0
        self._doubted_at: float | None = None
        self._traffic = Traffic(counters)
        self._settings = settings
        self._problem = problem
        self._loop = asyncio.get_running_loop()
        self._flows: OrderedDict[int, _ConnectFlow] = OrderedDict()
        self._path: DataPath | None = None
        self._slots = Slots()
        self._most = max(1, file_limit(settings.flows + SPARE_FILES) - SPARE_FILES)

    @property
    def flows(self) -> int:
        return len(self._flows)

    def attach(self, path: DataPath | None) -> None:
        """Another path: the other side may number its flows anew."""
        self._path = path
        self._slots = _slots_for(path)
        for flow in list(self._flows.values()):
            self._drop(flow)
        self._waiting.clear()
        self._kept = 0
        self._service.doubt()

    def deliver(self, number: int, payload: memoryview) -> None:
        if number not in self._flows and not self._service.is_fresh:
            self._wait(number, payload)
        else:
            self._hand_over(number, payload)

    def _wait(self, number: int, payload: memoryview) -> None:
        """Keep a new flow's datagram until the service's addresses are known."""
        if self._kept >= self._settings.queue:
            self._traffic.unsendable.value += 1
            return
        is_first = not self._waiting
        self._waiting.setdefault(number, []).append(bytes(payload))
        self._kept += 1
        if is_first:
            self._service.ask(self._begin_flows)

    def _begin_flows(self) -> None:
        waiting, self._waiting, self._kept = self._waiting, {}, 0
        for number, payloads in waiting.items():
            for payload in payloads:
                self._hand_over(number, memoryview(payload))

    def _hand_over(self, number: int, payload: memoryview) -> None:
        flow = self._flows.get(number) or self._open(number)
        if flow is None:
            return
        self._flows.move_to_end(number)
        flow.used_at = self._loop.time()
        flow.tries = 1
        try:
            flow.sock.send(payload)
        except ConnectionRefusedError:  # it answers an earlier datagram: this one has its chance
            flow = self._refused(flow)
            if flow is not None:
                self._send(flow, payload)
        except OSError as error:
            self._failed(error)
        if flow is not None and not flow.proven:
            flow.unanswered = bytes(payload)

    def expire(self, before: float) -> None:
        for flow in [flow for flow in self._flows.values() if flow.used_at < before]:
            self._drop(flow)

    def close(self) -> None:
        self._service.close()
        for flow in list(self._flows.values()):
            self._drop(flow)

    def _open(self, number: int) -> _ConnectFlow | None:
        """A flow to the service as it is known now: to the address that answered last, if it still counts."""
        targets = self._service.addresses
        if not targets:  # the service has told why
            self._traffic.unsendable.value += 1
            return None
        first = targets.index(self._preferred) if self._preferred in targets else 0
        return self._open_to(number, targets, first)

    def _open_to(self, number: int, targets: Sequence[Endpoint], first: int) -> _ConnectFlow | None:
        """A flow to the target number `first`, or the next that can be reached."""
        if len(self._flows) >= self._most:
            self._drop(next(iter(self._flows.values())))
        count = len(targets)
        problem = ""
        for target in range(first, first + count):
            endpoint = targets[target % count]
            try:
                sock = open_udp(wildcard(endpoint.family), self._settings.socket_buffer)
            except (OSError, UsageError) as error:
                problem = _unreachable(error)
                continue
            try:
                sock.connect(socket_address(endpoint))
            except OSError as error:
                sock.close()
                problem = _unreachable(error)
                continue
            is_only_one = count == 1 and not self._service.may_move
            now = self._loop.time()
            flow = _ConnectFlow(number, sock, targets, target % count, now, proven=is_only_one)
            self._flows[number] = flow
            self._loop.add_reader(sock, self._readable, flow)
            return flow
        self._traffic.unsendable.value += 1
        self._problem(f"no way to {self._service}: {problem}")
        return None

    def _readable(self, flow: _ConnectFlow) -> None:
        flow.used_at = self._loop.time()
        self._flows.move_to_end(flow.number)
        left = self._settings.batch
        while left > 0:
            batch = receive_batch(flow.sock, self._slots)
            if batch.frames:
                self._forward(flow, batch.frames)
            if batch.error is not None:
                if isinstance(batch.error, ConnectionRefusedError):
                    self._refused(flow)
                else:
                    self._failed(batch.error)
                return
            if batch.is_last:
                return
            left -= len(batch.frames)

    def _forward(self, flow: _ConnectFlow, frames: list[memoryview]) -> None:
        path = self._path
        assert path is not None  # without a path there are no flows
        if not flow.proven:
            flow.proven, flow.unanswered = True, None
            self._preferred = flow.targets[flow.target]
        if self._is_down:
            self._is_down = False
            self._changed(True)
        path.send_frames(flow.number, False, frames)

    def _refused(self, flow: _ConnectFlow) -> _ConnectFlow | None:
        """Nobody listens at the target: on to the service's next address, or tell the user."""
        if flow.tries >= len(flow.targets):
            self._traffic.refused.value += 1
            if self._may_have_moved():
                self._service.ask(partial(self._move, flow))
                return flow
            return self._move(flow)
        self._drop(flow)
        return self._take_over(flow, self._open_to(flow.number, flow.targets, flow.target + 1))

    def _may_have_moved(self) -> bool:
        """Whether another look-up could help: not if the last refusal has led to one just now."""
        now = self._loop.time()
        at = self._doubted_at
        if not self._service.may_move or (at is not None and now - at < self._settings.name_kept):
            return False
        self._doubted_at = now
        self._service.doubt()
        return True

    def _move(self, flow: _ConnectFlow) -> _ConnectFlow | None:
        """Every address that `flow` knows refuses it: it goes on at others if there are some by now."""
        others = [each for each in self._service.addresses if each not in flow.targets]
        if not others:
            self._told_down()
            return flow
        if self._flows.get(flow.number) is not flow:
            return None
        self._drop(flow)
        return self._take_over(flow, self._open_to(flow.number, others, 0), tries=1)

    def _take_over(
        self, flow: _ConnectFlow, other: _ConnectFlow | None, tries: int | None = None
    ) -> _ConnectFlow | None:
        """`other` goes on where `flow` was refused."""
        if other is not None:
            other.tries = flow.tries + 1 if tries is None else tries
            other.unanswered = flow.unanswered
            if flow.unanswered is not None:
                self._send(other, flow.unanswered)
        return other

    def _told_down(self) -> None:
        self._problem(f"nothing listens on {self._service}: start the service or correct --connect")
        if not self._is_down:
            self._is_down = True
            self._changed(False)

    def _send(self, flow: _ConnectFlow, payload: bytes | memoryview) -> None:
        try:
            flow.sock.send(payload)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._traffic.unsendable.value += 1
        self._problem(f"a datagram to {self._service} was not sent: {error.strerror}")

    def _drop(self, flow: _ConnectFlow) -> None:
        del self._flows[flow.number]
        self._loop.remove_reader(flow.sock)
        flow.sock.close()


def _unreachable(error: OSError | UsageError) -> str:
    """Why there is no socket, or it cannot be connected, in words."""
    if isinstance(error, UsageError):
        return str(error)
    if error.errno == errno.EACCES:
        return "its address is one for broadcasts, or a firewall forbids it"
    return error.strerror or str(error)


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

    def not_sent(self, error: OSError) -> None:
        self._problem(f"a datagram to the other side was not sent: {error.strerror}")

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
