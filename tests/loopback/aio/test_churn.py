"""Flows that make room: whose turn it is, and for how long a port stays bound that was given up."""

from __future__ import annotations

import random
import socket

from nat_traversal import ClientSettings
from nat_traversal.aio.flow_table import FlowTable
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.parked import ParkedPorts
from tests.loopback.hosts import two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually


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
