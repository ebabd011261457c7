"""Programs' flows: they outlive paths, end with the other side's process, and follow a service that answers from elsewhere."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from nat_traversal import ClientSettings, Endpoint
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.methods import RELAYS
from tests.features import linux_only
from tests.loopback.hosts import Host, a_server, two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually


async def _new_path(a: Host, b: Host) -> None:
    """Both clients go on; the direct path does not."""
    before = _direct(a), _direct(b)
    b.client.feed(e.FrameOpened(Kind.BYE, b"", b.socket.generation))
    await eventually(lambda: _direct(a) > before[0], "another direct path at a")
    await eventually(lambda: _direct(b) > before[1], "another direct path at b")


def _direct(host: Host) -> int:
    """How many direct paths it has told."""
    return sum(told.method not in RELAYS for told in host.notices.of(note.PathEstablished))


async def test_flows_that_begin_too_fast_are_dropped_counted_and_told() -> None:
    """A peer must not make this side open sockets without end."""
    settings = ClientSettings(new_flows=1)
    with Service() as service, Program() as first, ExitStack() as stack:
        async with two_hosts(connect=[service.endpoint], settings=settings) as (a, b):
            assert await first.ask(b"x", a.port) == b"x"
            for _ in range(30):
                stack.enter_context(Program()).send(b"x", a.port)
            await eventually(lambda: b.counters["unsendable"] > 0, "it is counted")
            told = "the other side begins more than 1 flows a second: some are dropped"
            assert set(b.problems) == {told}
            assert await first.ask(b"y", a.port) == b"y", "flows that stand go on"


class TestAcrossPaths:
    """A program and a service do not see that the path is another one."""

    async def test_a_service_sees_the_same_program_and_reaches_it_unasked(self) -> None:
        with Service() as service, Program() as program, Program() as other:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                assert await program.ask(b"1", a.port) == b"1"
                assert await other.ask(b"1", a.port) == b"1"
                (_, source), (_, other_source) = service.asked
                for number in (b"2", b"3"):
                    await _new_path(a, b)
                    service.send(b"push " + number, source)
                    assert await program.receive() == (b"push " + number, a.port)
                    assert await program.ask(number, a.port) == number
                    assert await other.ask(number, a.port) == number
                assert {each for _, each in service.asked} == {source, other_source}
                assert a.problems == b.problems == []

    async def test_what_a_service_sends_between_two_paths_is_counted_and_told(self) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                assert await program.ask(b"x", a.port) == b"x"
                assert b.connector is not None
                b.connector.attach(None)
                service.send(b"lost", service.asked[0][1])
                await eventually(lambda: b.counters["unsendable"] == 1, "it is counted")
                assert b.problems == ["datagrams from the service are dropped until a path stands"]
                await _new_path(a, b)
                service.send(b"push", service.asked[0][1])
                assert (await program.receive())[0] == b"push"

    async def test_another_process_at_the_listening_side_begins_with_fresh_sockets(self) -> None:
        """It numbers its flows from the beginning: they must not meet those of the one before."""
        with Service() as service, Program() as old, Program() as new:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_b", "host_a", connect=[service.endpoint]) as b,
            ):
                async with Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as first:
                    await first.connected()
                    assert await old.ask(b"x", first.port) == b"x"
                async with Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as second:
                    await second.connected()
                    await b.connected(2)
                    assert await new.ask(b"y", second.port) == b"y"
                    (_, old_source), (_, new_source) = service.asked
                    assert old_source != new_source
                    assert b.connector is not None
                    assert b.connector.flows == 1
                    service.send(b"to the old", old_source)
                    service.send(b"to the new", new_source)
                    assert (await new.receive())[0] == b"to the new"


class TestElsewhere:
    """Answers from another port or address of the service's host."""

    @linux_only
    async def test_a_transfer_goes_on_at_the_port_that_answered(self) -> None:
        """As TFTP: a fresh port for each transfer (RFC 1350 section 4)."""
        with Program() as service, Program() as one, Program() as two:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                for program in (one, two, one):
                    with Program() as transfer:
                        program.send(b"read", a.port)
                        payload, source = await service.receive()
                        assert payload == b"read"
                        for number in range(3):
                            transfer.send(b"block %d" % number, source)
                            assert await program.receive() == (b"block %d" % number, a.port)
                            program.send(b"got %d" % number, a.port)
                            assert await transfer.receive() == (b"got %d" % number, source)
                # The third read went to a port that is closed by then: it was sent again, and is no loss.
                assert b.counters.counted() == {"sent": 9, "received": 12}
                assert b.problems == []

    async def test_a_service_of_several_addresses_answers_from_any_of_them(self) -> None:
        with (
            Program("127.0.0.2") as asked,
            Program("127.0.0.1", asked.endpoint.port) as other,
            Program() as program,
        ):
            async with two_hosts(connect=[asked.endpoint]) as (a, b):
                program.send(b"one", a.port)
                _, source = await asked.receive()
                other.send(b"from the other", source)
                assert await program.receive() == (b"from the other", a.port)
                assert b.counters.counted() == {"sent": 1, "received": 1}

    async def test_a_service_that_has_answered_itself_is_asked_at_its_own_port_for_ever(
        self,
    ) -> None:
        with Service() as service, Program() as elsewhere, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, _):
                assert await program.ask(b"1", a.port) == b"1"
                elsewhere.send(b"news", service.asked[0][1])
                assert (await program.receive())[0] == b"news"
                assert await program.ask(b"2", a.port) == b"2"
                assert not elsewhere.has_received()

    async def test_a_port_that_only_sends_is_left_when_it_does_not_answer(self) -> None:
        settings = ClientSettings(follow_within=0.0)
        with Program() as service, Program() as sender, Program() as program:
            async with two_hosts(connect=[service.endpoint], settings=settings) as (a, _):
                program.send(b"1", a.port)
                _, source = await service.receive()
                sender.send(b"from elsewhere", source)
                assert (await program.receive())[0] == b"from elsewhere"
                program.send(b"2", a.port)
                assert (await sender.receive())[0] == b"2"
                for number in (b"3", b"4"):
                    program.send(number, a.port)
                    assert (await service.receive())[0] == number
                    sender.send(b"from elsewhere", source)
                    assert (await program.receive())[0] == b"from elsewhere"

    async def test_the_service_s_own_port_is_asked_again_once_it_answers(self) -> None:
        with Program() as service, Program() as sender, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, _):
                program.send(b"1", a.port)
                _, source = await service.receive()
                sender.send(b"from elsewhere", source)
                assert (await program.receive())[0] == b"from elsewhere"
                service.send(b"from the service", source)
                assert (await program.receive())[0] == b"from the service"
                program.send(b"2", a.port)
                assert (await service.receive())[0] == b"2"

    async def test_no_other_program_can_join_the_port_of_a_flow(self) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, _):
                assert await program.ask(b"x", a.port) == b"x"
                taken = service.asked[0][1]
                assert not _can_be_bound(taken, reuse=True)
                assert not _can_be_bound(Endpoint("0.0.0.0", taken.port), reuse=True)


def _can_be_bound(endpoint: Endpoint, *, reuse: bool) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            sock.bind(endpoint.sockaddr)
        except OSError:
            return False
        return True
