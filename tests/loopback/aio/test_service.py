"""A service known by name: looked up again when it may have moved, and never in the event loop's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from nat_traversal import ClientSettings, Endpoint, NameUnresolvedError
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.service import FixedService, NamedService, service_at
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually, unused

NAME = HostPort("svc.lab", 53)
PATIENT = ClientSettings(name_kept=3600.0, name_within=3600.0)


class Names:
    """A name server of one name. `hold` keeps its answers back until `answer`."""

    def __init__(self, *addresses: Endpoint) -> None:
        self.addresses = list(addresses)
        self.asked = 0
        self._may_answer = asyncio.Event()
        self._may_answer.set()

    def hold(self) -> None:
        self._may_answer.clear()

    def answer(self) -> None:
        self._may_answer.set()

    async def look_up(self, name: HostPort) -> list[Endpoint]:
        self.asked += 1
        await self._may_answer.wait()
        if not self.addresses:
            raise NameUnresolvedError(f"there is no such name as {name.host!r}", is_temporary=False)
        return list(self.addresses)


class Pair:
    """host_a listens; host_b connects to the service behind `names`."""

    def __init__(self, names: Names, server: Endpoint, settings: ClientSettings) -> None:
        self.a = Host(server, "host_a", "host_b", listen="127.0.0.1")
        self.changes: list[bool] = []

        def connector(
            counters: Counters, tell: Callable[[str], None], settings: ClientSettings
        ) -> Connector:
            self.service = NamedService(NAME, settings, tell, look_up=names.look_up)
            return Connector(self.service, counters, tell, settings, self.changes.append)

        self.b = Host(server, "host_b", "host_a", settings=settings, connector=connector)


async def test_a_service_that_moves_is_found_at_its_first_refusal_by_every_new_program() -> None:
    with Program() as one, Program() as two:
        old, new = Service(), Service()
        names = Names(old.endpoint)
        async with a_server() as (server, _):
            pair = Pair(names, server.endpoint, PATIENT)
            async with pair.a as a, pair.b as b:
                await a.connected()
                await b.connected()
                with new:
                    with old:
                        assert await one.ask(b"1", a.port) == b"1"
                    names.addresses = [new.endpoint]
                    assert await two.ask(b"2", a.port) == b"2"
                    assert names.asked == 2
                    assert b.problems == []
                    one.send(b"lost", a.port)
                    await eventually(lambda: b.counters["refused"] >= 2, "the old flow is refused")
                    assert await one.ask(b"3", a.port) == b"3"


async def test_flows_that_are_answered_stay_and_new_ones_take_the_new_address() -> None:
    with Service() as old, Service() as new, Program() as one, Program() as two:
        names = Names(old.endpoint)
        async with a_server() as (server, _):
            pair = Pair(names, server.endpoint, replace(PATIENT, name_kept=0.0))
            async with pair.a as a, pair.b as b:
                await a.connected()
                await b.connected()
                assert await one.ask(b"1", a.port) == b"1"
                names.addresses = [new.endpoint]
                assert await two.ask(b"2", a.port) == b"2"
                assert await one.ask(b"3", a.port) == b"3"
                assert [each for each, _ in old.asked] == [b"1", b"3"]
                assert [each for each, _ in new.asked] == [b"2"]


async def test_a_burst_of_new_flows_is_one_question_and_none_waits_for_another() -> None:
    programs = [Program() for _ in range(20)]
    with Service() as service:
        names = Names(service.endpoint)
        names.hold()
        async with a_server() as (server, _):
            pair = Pair(names, server.endpoint, PATIENT)
            async with pair.a as a, pair.b as b:
                await a.connected()
                await b.connected()
                for number, program in enumerate(programs):
                    program.send(bytes([number]), a.port)
                await eventually(lambda: names.asked, "the name is asked for")
                assert service.asked == []
                names.answer()
                for number, program in enumerate(programs):
                    assert (await program.receive())[0] == bytes([number])
                assert names.asked == 1
        for program in programs:
            program.sock.close()


async def test_a_slow_look_up_keeps_a_new_flow_waiting_for_a_moment_only() -> None:
    with Service() as service, Program() as one, Program() as two:
        names = Names(service.endpoint)
        async with a_server() as (server, _):
            hasty = replace(PATIENT, name_kept=0.0, name_within=0.01)
            pair = Pair(names, server.endpoint, hasty)
            async with pair.a as a, pair.b as b:
                await a.connected()
                await b.connected()
                assert await one.ask(b"1", a.port) == b"1"
                names.hold()
                assert await two.ask(b"2", a.port) == b"2"


async def test_a_service_that_nobody_runs_is_told_once_and_its_return_too() -> None:
    nobody = unused()
    names = Names(nobody)
    with Program() as program:
        async with a_server() as (server, _):
            pair = Pair(names, server.endpoint, PATIENT)
            async with pair.a as a, pair.b as b:
                await a.connected()
                await b.connected()
                program.send(b"1", a.port)
                await eventually(lambda: pair.changes, "it is down")
                program.send(b"2", a.port)
                await eventually(lambda: b.counters["refused"] >= 2, "it is refused again")
                assert pair.changes == [False]
                text = f"nothing listens on svc.lab:53 ({nobody}): start the service or correct"
                assert [each for each in b.problems if not each.startswith(text)] == []
                with Service(*nobody.sockaddr):
                    assert await program.ask(b"3", a.port) == b"3"
                assert pair.changes == [False, True]
                b.client.feed(e.ServiceChanged(False))
                assert await a.notices.wait(note.ServiceAtPeer) == note.ServiceAtPeer(
                    "host_b", False
                )


async def test_a_name_that_does_not_exist_yet_is_asked_for_until_it_does() -> None:
    names = Names()
    problems: list[str] = []
    settings = ClientSettings(reconnect_first=0.001, reconnect_most=0.001)
    service = NamedService(NAME, settings, problems.append, look_up=names.look_up)
    told: list[bool] = []
    service.ask(lambda: told.append(True))
    await eventually(lambda: names.asked >= 3, "it asks again by itself")
    assert told == [True]
    assert set(problems) == {"--connect svc.lab:53: there is no such name as 'svc.lab'"}
    names.addresses = [unused()]
    await eventually(lambda: service.addresses, "the name is known")
    assert service.is_fresh
    service.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_never_looked_up(host: str) -> None:
    service = service_at(HostPort(host, 53), PATIENT, print)
    assert isinstance(service, FixedService)
    assert service.addresses == [Endpoint(host, 53)]
    assert isinstance(service_at(NAME, PATIENT, print), NamedService)
