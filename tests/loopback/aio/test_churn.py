"""Flows that make room: whose turn it is, and that an answer which comes late reaches nobody else."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import deque
from dataclasses import replace
from typing import cast

import pytest

from nat_traversal import ClientSettings, Endpoint
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.flow_table import FlowTable
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.parked import ParkedPorts
from nat_traversal.aio.service import FixedService
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.tray import Run
from tests.loopback.hosts import two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually

LAG, AT_A_TIME = 700, 400
SETTINGS = ClientSettings(flows=AT_A_TIME, new_flows=1_000_000)


class Answers:
    """In the place of a path: the answers, and how many came to another flow than the one that asked."""

    def __init__(self) -> None:
        self.came = self.astray = 0
        self.order = UsePath(1, Endpoint("127.0.0.1", 1), cast(Epochs, None))

    def send_run(self, number: int, from_listener: bool, run: Run) -> None:
        assert not from_listener
        for payload in run.parts():
            self.came += 1
            self.astray += int(bytes(payload)) != number

    def send_alone(self, number: int, from_listener: bool, run: Run, now: float) -> None:
        self.send_run(number, from_listener, run)

    def flush(self) -> None:
        """Nothing waits."""


async def churn(answers: Answers, asked: int, settings: ClientSettings = SETTINGS) -> None:
    """So many programs ask once each; a service answers each after 700 others have asked.

    Over IPv6: its answers to ports that were given up must not meet other tests at work on 127.0.0.1.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as service:
        service.bind(("::1", 0))
        at = FixedService([endpoint_of(service.getsockname())])
        connector = Connector(at, Counters(), lambda _: None, settings)
        connector.attach(cast(DataPath, answers))
        late: deque[tuple[bytes, tuple[str, int, int, int]]] = deque()
        for number in range(asked):
            connector.deliver(number, [memoryview(str(number).encode())])
            late.append(service.recvfrom(64))
            if len(late) > LAG:
                service.sendto(*late.popleft())
            if number % 8 == 0:
                await asyncio.sleep(0)
        assert connector.flows == AT_A_TIME
        while late:  # all that are still open get theirs
            service.sendto(*late.popleft())
        await eventually(lambda: answers.came >= AT_A_TIME, "the last answers")
        connector.close()


@pytest.mark.long
async def test_no_late_answer_reaches_another_program_and_without_recalled_ports_some_would() -> (
    None
):
    """One behind the other: at the same time one's answers would reach the other's ports."""
    answers = Answers()
    await churn(answers, 2_500)
    assert answers.astray == 0
    unguarded = Answers()
    await churn(unguarded, 1_800, replace(SETTINGS, parked_for=0.0, parked_ports=0))
    assert unguarded.astray > 0, "the churn notices what it is for"


async def test_parked_ports_stay_bound_for_a_while_and_the_oldest_makes_room() -> None:
    parked = ParkedPorts(2, 0.2)
    programs = [Program() for _ in range(3)]
    ports = [each.endpoint.port for each in programs]
    for each in programs:
        parked.park(each.sock)
    assert parked.bound == 2
    assert all(map(parked.recalls, ports)), "none is for our own flows"
    assert [_is_free(port) for port in ports] == [True, False, False]
    await eventually(lambda: not parked.bound, "all are free")
    assert not any(map(parked.recalls, ports))
    parked.close()


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class _SlowOnce(Service):
    """A service that lets the first one wait."""

    def _answer(self) -> None:
        if self.asked:
            super()._answer()
        else:
            data, source = self.sock.recvfrom(65_536)
            self.asked.append((data, endpoint_of(source)))


async def test_flow_that_waits_for_its_answer_is_not_the_one_that_makes_room() -> None:
    settings = ClientSettings(flows=2)
    with _SlowOnce() as service, Program() as waits, Program() as done, Program() as new:
        async with two_hosts(connect=[service.endpoint], settings=settings) as (a, b):
            waits.send(b"slow", a.port)
            await eventually(lambda: service.asked, "it asks")
            assert await done.ask(b"x", a.port) == b"x"
            assert await new.ask(b"y", a.port) == b"y"
            service.send(b"at last", service.asked[0][1])
            assert (await waits.receive())[0] == b"at last"
            told = " at a time: the one that is idle longest makes room"
            assert a.problems == [f"2 programs{told}"]
            assert b.problems == [f"2 programs of the other side{told}"]
            assert (a.counters["flows-evicted"], b.counters["flows-evicted"]) == (1, 1)


async def test_one_address_cannot_take_the_flows_of_others() -> None:
    settings = ClientSettings(flows=8, flows_per_source=2)
    with Service() as service, Program("127.0.0.9") as other:
        async with two_hosts(connect=[service.endpoint], settings=settings) as (a, _):
            assert await other.ask(b"x", a.port) == b"x"
            for _ in range(5):
                with Program() as program:
                    assert await program.ask(b"y", a.port) == b"y"
            assert a.listener is not None
            assert a.listener.flows == 3
            told = "2 programs at 127.0.0.1 at a time: the one that is idle longest makes room"
            assert set(a.problems) == {told}
            service.send(b"still here", service.asked[0][1])
            assert (await other.receive())[0] == b"still here"


def test_order_in_which_flows_make_room() -> None:
    table: FlowTable[int, str] = FlowTable()
    flows = [f"flow {key}" for key in range(4)]
    for key, flow in enumerate(flows):
        table.add(key, flow)
    assert table.longest_idle() == "flow 0", "none was answered"
    for key in (2, 1):
        table.answers(key, flows[key])
    assert table.longest_idle() == "flow 2"
    table.asks(2, flows[2])
    assert table.longest_idle() == "flow 1"
    for key in (1, 2):
        table.remove(key)
    table.asks(0, flows[0])
    assert (table.longest_idle(), len(table), table.get(1)) == ("flow 3", 2, None)


def test_order_is_that_of_a_model_after_any_uses() -> None:
    numbers = random.Random(4)
    table: FlowTable[int, str] = FlowTable()
    used: dict[str, tuple[bool, int]] = {}
    for moment in range(3_000):
        key = numbers.randrange(6)
        flow, what = table.get(key), numbers.randrange(8)
        if flow is None:
            table.add(key, flow := f"flow {key}, {moment}")
            used[flow] = (False, moment)
        elif what == 0:
            table.remove(key)
            del used[flow]
        elif what < 5:
            table.asks(key, flow)
            used[flow] = (used[flow][0], moment)
        else:
            table.answers(key, flow)
            used[flow] = (True, moment)
        if used:
            answered = [flow for flow, (is_answered, _) in used.items() if is_answered]
            assert table.longest_idle() == min(answered or used, key=lambda flow: used[flow][1])
