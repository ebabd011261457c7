"""Several services of one peer over one path, each by its name."""

from __future__ import annotations

from nat_traversal.machine import notices as note
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually


async def test_each_service_has_its_own_programs_and_neither_meets_the_other() -> None:
    with Service() as dns, Service() as game, Service() as unnamed, Program() as program:
        async with a_server() as (server, _):
            a = Host(
                *(server.endpoint, "host_a", "host_b"),
                listen="127.0.0.1",
                services={"dns": None, "game": None},
            )
            b = Host(
                *(server.endpoint, "host_b", "host_a"),
                connect=[unnamed.endpoint],
                services={"game": game.endpoint, "dns": dns.endpoint},
            )
            async with a, b:
                await a.notices.wait(note.ServicesReady)
                await b.notices.wait(note.ServicesReady)
                ports = {name: each.endpoint for name, each in a.listeners.items()}
                assert await program.ask(b"1", ports["dns"]) == b"1"
                assert await program.ask(b"2", ports["game"]) == b"2"
                assert await program.ask(b"3" * 9000, a.port) == b"3" * 9000
                for service, asked in ((dns, b"1"), (game, b"2"), (unnamed, b"3" * 9000)):
                    assert [each for each, _ in service.asked] == [asked]
                assert (a.problems, b.problems) == ([], [])
                assert [a.forwarder.flows_of(number) for number in range(4)] == [1, 1, 1, 0]


async def test_one_that_the_other_side_has_not_is_dropped_here_and_said() -> None:
    with Service() as service, Program() as program:
        async with a_server() as (server, _):
            a = Host(*(server.endpoint, "host_a", "host_b"), services={"dns": None, "ssh": None})
            b = Host(*(server.endpoint, "host_b", "host_a"), services={"dns": service.endpoint})
            async with a, b:
                await a.notices.wait(note.ServiceOnlyHere)
                program.send(b"1", a.listeners["ssh"].endpoint)
                await eventually(lambda: a.counters["unsendable"] == 1, "it is dropped")
                text = "datagrams from local programs are dropped until the other side has their service"
                assert a.problems == [text]
                assert await program.ask(b"2", a.listeners["dns"].endpoint) == b"2"


async def test_only_what_this_side_has_is_delivered_whatever_the_frames_say() -> None:
    with Service() as service:
        async with a_server() as (server, _):
            a = Host(*(server.endpoint, "host_a", "host_b"), services={"dns": None})
            b = Host(*(server.endpoint, "host_b", "host_a"), services={"dns": service.endpoint})
            async with a, b:
                await a.notices.wait(note.ServicesReady)
                for direction in (0, 1, 2, 4, 5, 255):
                    a.path.send(1, direction, b"stray")
                a.path.send(1, 1 << 1 | 1, b"meant")
                await eventually(lambda: service.asked, "the one for its number is delivered")
                assert [each for each, _ in service.asked] == [b"meant"]
                assert b.counters["unclaimed"] == 6
