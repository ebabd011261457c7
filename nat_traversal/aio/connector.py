"""The `--connect` side of a path: flows to a service, one for each program of the other side."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from nat_traversal.aio.datapath import DataPath, Problem
from nat_traversal.aio.flow_table import FlowTable, evictions
from nat_traversal.aio.offload import tray_for_reading
from nat_traversal.aio.outbox import HEADROOM
from nat_traversal.aio.packet_io import ALONE, BATCH, SPARE_FILES, Batch, file_limit
from nat_traversal.aio.parked import ParkedPorts
from nat_traversal.aio.service import Service
from nat_traversal.aio.service_flow import SOCKETS, WAITING, ServiceFlow
from nat_traversal.aio.soft_errors import Lost, not_sent
from nat_traversal.aio.traffic import Traffic
from nat_traversal.errors import UsageError
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.failures import in_words
from nat_traversal.paths.budget import Pace
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint


@dataclass(eq=False, slots=True)
class _ConnectFlow:
    """One program of the other side, and where it is at the service."""

    flow: ServiceFlow
    targets: Sequence[Endpoint]
    """The service's addresses when the flow began."""
    target: int
    """The index of the one that it goes to."""
    used_at: float
    tries: int = 1
    """How many of the service's addresses have been tried for the latest datagrams."""


class Connector:
    """The `--connect` side: sockets towards the service for each flow that the other side has numbered.

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
        self._kept = self._kept_octets = 0
        """Of these."""
        self._doubted_at: float | None = None
        self._traffic = Traffic(counters)
        self._settings = settings
        self._problem = problem
        self._loop = asyncio.get_running_loop()
        self._flows: FlowTable[int, _ConnectFlow] = FlowTable()
        self._instance = b""
        """The process of the other side that has numbered the flows."""
        self._path: DataPath | None = None
        self.to: int | None = 0
        self._tray = tray_for_reading(HEADROOM)
        wanted = SOCKETS * settings.flows + settings.parked_ports
        most_files = file_limit(wanted + SPARE_FILES) - SPARE_FILES
        most_parked = min(settings.parked_ports, most_files // 16)
        self._most = max(1, min(settings.flows, (most_files - most_parked) // SOCKETS))
        self._parked = ParkedPorts(most_parked, settings.parked_for)
        self._evicted = evictions(counters)
        self._pace = Pace(2 * settings.new_flows, 1.0 / settings.new_flows)

    @property
    def flows(self) -> int:
        return len(self._flows)

    def attach(self, path: DataPath | None) -> None:
        """Another path, or none for now. Flows go on unless the other side is another process by now:
        that numbers its flows anew."""
        self._path = path
        if path is None:
            return
        instance = path.order.instance
        if not instance or instance != self._instance:
            self._forget()
        self._instance = instance
        self._service.doubt()

    def deliver(self, number: int, payloads: Sequence[memoryview]) -> None:
        at = self._flows.get(number)
        if at is not None or self._service.is_fresh:
            self._hand_over(number, at, payloads)
        else:
            for payload in payloads:
                self._wait(number, payload)

    def expire(self, before: float) -> None:
        for each in [each for each in self._flows if each.used_at < before]:
            self._drop(each)

    def leave(self) -> None:
        """Nothing."""

    def close(self) -> None:
        self._service.close()
        self._forget()
        self._parked.close()

    def _forget(self) -> None:
        self._waiting.clear()
        self._kept = self._kept_octets = 0
        for each in list(self._flows):
            self._park(each)

    # To the service

    def _wait(self, number: int, payload: memoryview) -> None:
        """Keep a new flow's datagram until the service's addresses are known."""
        full = self._kept_octets + len(payload) > self._settings.queue_octets
        if full or self._kept >= self._settings.queue:
            self._traffic.unsendable.value += 1
            return
        is_first = not self._waiting
        self._waiting.setdefault(number, []).append(bytes(payload))
        self._kept += 1
        self._kept_octets += len(payload)
        if is_first:
            self._service.ask(self._begin_flows)

    def _begin_flows(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._kept = self._kept_octets = 0
        for number, payloads in waiting.items():
            at = self._flows.get(number)
            self._hand_over(number, at, [memoryview(each) for each in payloads])

    def _hand_over(
        self, number: int, at: _ConnectFlow | None, payloads: Sequence[memoryview]
    ) -> None:
        """To the flow `at`, or to one that begins. The datagrams leave first: what is noted of them can wait."""
        now = self._loop.time()
        while payloads:
            at = at or self._flows.get(number) or self._open(number)
            if at is None:
                self._traffic.unsendable.value += len(payloads)
                return
            flow = at.flow
            count = flow.send(payloads, now)
            self._flows.asks(number, at)
            at.used_at = now
            at.tries = 1
            if flow.lost or flow.failed:
                self._settle(at, payloads[:count])
                at = None
            payloads = payloads[count:]

    def _open(self, number: int) -> _ConnectFlow | None:
        """A flow to the service as it is known now: to the address that answered last, if it still counts."""
        targets = self._service.addresses
        if not targets:  # the service has told why
            return None
        if self._pace.take(self._loop.time()):
            most = self._settings.new_flows
            self._problem(
                f"the other side begins more than {most} flows a second: some are dropped"
            )
            return None
        first = targets.index(self._preferred) if self._preferred in targets else 0
        return self._open_to(number, targets, first)

    def _open_to(self, number: int, targets: Sequence[Endpoint], first: int) -> _ConnectFlow | None:
        """A flow to the target number `first`, or the next that can be reached."""
        if len(self._flows) >= self._most:
            self._evict()
        count = len(targets)
        only = count == 1 and not self._service.may_move
        now, problem = self._loop.time(), ""
        for target in range(first, first + count):
            endpoint = targets[target % count]
            try:
                flow = ServiceFlow(
                    *(number, endpoint, self._tray, self._settings, now),
                    only=only,
                    recalls=self._parked.recalls,
                )
            except (OSError, UsageError) as error:
                problem = _unreachable(error)
                continue
            at = _ConnectFlow(flow, targets, target % count, used_at=now)
            self._flows.add(number, at)
            self._loop.add_reader(flow.sock, self._readable, at)
            if flow.ear is not None:
                self._loop.add_reader(flow.ear, self._overheard, at)
            return at
        self._problem(f"no way to {self._service}: {problem}")
        return None

    # From the service

    def _readable(self, at: _ConnectFlow) -> None:
        flow = at.flow
        now = self._loop.time()
        is_alone, flow.read_at = now - flow.read_at > ALONE, now
        left = self._settings.batch
        while left > 0:
            batch = flow.receive(1 if is_alone else BATCH, again=left < self._settings.batch)
            if batch.runs:
                self._forward(at, batch, now, is_alone=is_alone)
            if flow.lost:
                self._settle(at)
                return
            if batch.is_last or is_alone:
                return
            left -= batch.total

    def _overheard(self, at: _ConnectFlow) -> None:
        """The service's host has sent from another port or address."""
        batch, strangers = at.flow.overheard()
        if batch.runs:
            self._forward(at, batch, self._loop.time(), is_alone=False)
        for host, port, *_ in strangers:
            self._traffic.foreign.value += 1
            self._problem(
                f"dropped what {host}:{port} sent: only the host of {self._service} may answer"
            )

    def _forward(self, at: _ConnectFlow, batch: Batch, now: float, *, is_alone: bool) -> None:
        flow = at.flow
        self._flows.answers(flow.number, at)
        at.used_at = now
        self._preferred = at.targets[at.target]
        if self._is_down:
            self._is_down = False
            self._changed(True)
        path, to = self._path, self.to
        if path is not None and to is not None and is_alone:
            path.send_alone(flow.number, to, batch.runs[0], now)
        elif path is not None and to is not None:
            for run in batch.runs:
                path.send_run(flow.number, to, run)
            path.flush()
        else:
            self._traffic.unsendable.value += batch.total
            self._problem("datagrams from the service are dropped until a path stands")

    # Trouble

    def _settle(self, at: _ConnectFlow, latest: Sequence[memoryview] = ()) -> None:
        """Tell what happened to a flow's datagrams. Those that nobody listened for go elsewhere, with the
        `latest`, which have just been sent after them."""
        flow = at.flow
        if flow.settled:
            flow.waiting += map(bytes, latest[-WAITING:])
        refusals: list[Lost] = []
        while flow.lost:
            lost = flow.lost.pop(0)
            if lost.error == errno.ECONNREFUSED:
                refusals.append(lost)
                continue
            self._traffic.lost(lost)
            self._problem(f"a datagram to {self._service} was lost: {lost}")
        while flow.failed:
            error, octets = flow.failed.pop(0)
            self._traffic.unsendable.value += 1
            reason = not_sent(error, octets)
            self._problem(f"a datagram to {self._service} was not sent: {reason}")
        if refusals:
            self._refused(at, refusals)

    def _refused(self, at: _ConnectFlow, refusals: list[Lost]) -> None:
        """Nobody listens there: on to the service's own port or next address, or tell the user."""
        flow = at.flow
        again = _from_first(flow.waiting, refusals)
        flow.waiting.clear()
        if flow.is_away:
            flow.go_home()
            self._send_again(at, again)
            return
        if at.tries < len(at.targets):
            if flow.settled:  # they are not kept, as this address has answered before
                self._traffic.refused.value += sum(each.count for each in refusals)
            self._drop(at)
            other = self._open_to(flow.number, at.targets, at.target + 1)
            self._take_over(other, again, at.tries + 1)
            return
        self._traffic.refused.value += sum(each.count for each in refusals)
        if self._may_have_moved():
            self._service.ask(partial(self._move, at, again))
        else:
            self._move(at, again)

    def _may_have_moved(self) -> bool:
        """Whether another look-up could help: not if the last refusal has led to one just now."""
        now = self._loop.time()
        doubted = self._doubted_at
        is_recent = doubted is not None and now - doubted < self._settings.name_kept
        if not self._service.may_move or is_recent:
            return False
        self._doubted_at = now
        self._service.doubt()
        return True

    def _move(self, at: _ConnectFlow, again: list[bytes]) -> None:
        """Every address that the flow knows refuses it: it goes on at others if there are some by now."""
        others = [each for each in self._service.addresses if each not in at.targets]
        if not others:
            self._told_down()
        elif self._flows.get(at.flow.number) is at:
            self._drop(at)
            self._take_over(self._open_to(at.flow.number, others, 0), again, 1)

    def _take_over(self, other: _ConnectFlow | None, again: list[bytes], tries: int) -> None:
        """`other` goes on where a flow was refused."""
        if other is None:
            self._traffic.unsendable.value += len(again)
            return
        other.tries = tries
        self._send_again(other, again)

    def _send_again(self, at: _ConnectFlow, datagrams: list[bytes]) -> None:
        for payload in datagrams:
            at.flow.send((memoryview(payload),), self._loop.time())
        if at.flow.lost or at.flow.failed:
            self._settle(at)

    def _told_down(self) -> None:
        self._problem(f"nothing listens on {self._service}: start the service or correct --connect")
        if not self._is_down:
            self._is_down = True
            self._changed(False)

    def _evict(self) -> None:
        """The longest idle flow makes room."""
        self._evicted.value += 1
        self._problem(
            f"{self._most} programs of the other side at a time: the one that is idle longest makes room"
        )
        self._park(self._flows.longest_idle())

    def _park(self, at: _ConnectFlow) -> None:
        """End a flow to which an answer may still come."""
        self._remove(at)
        self._parked.park(at.flow.give_up())

    def _drop(self, at: _ConnectFlow) -> None:
        self._remove(at)
        at.flow.close()

    def _remove(self, at: _ConnectFlow) -> None:
        flow = at.flow
        self._flows.remove(flow.number)
        for sock in (flow.sock, flow.ear):
            if sock is not None:
                self._loop.remove_reader(sock)


def _from_first(waiting: Iterable[bytes], refusals: list[Lost]) -> list[bytes]:
    """The datagrams from the first one on that was refused: those before it have arrived."""
    datagrams = list(waiting)
    for index, datagram in enumerate(datagrams):
        if any(datagram.startswith(each.start) for each in refusals):
            return datagrams[index:]
    return datagrams


def _unreachable(error: OSError | UsageError) -> str:
    """Why there is no socket, or it cannot be connected, in words."""
    if isinstance(error, UsageError):
        return str(error)
    if error.errno == errno.EACCES:
        return "its address is one for broadcasts, or a firewall forbids it"
    return in_words(error)
