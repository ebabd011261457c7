"""Ordinary programs' datagrams between two clients, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from typing import TYPE_CHECKING

import pytest

from nat_traversal import Endpoint, LocalAddressError, UsageError, serve
from nat_traversal.aio import connector as connector_module
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.packet_io import open_udp, socket_address
from nat_traversal.aio.service import FixedService
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD
from tests.features import linux_only
from tests.loopback.hosts import Host, refused, two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually, unused

if TYPE_CHECKING:
    pass


async def test_each_of_many_programs_gets_its_own_replies() -> None:
    programs = [Program() for _ in range(40)]
    with Service(answer=lambda payload, source: payload + b" %d" % source.port) as service:
        async with two_hosts(connect=[service.endpoint]) as (a, b):
            for _ in range(5):  # interleaved, and all say the same
                for program in programs:
                    program.send(b"same", a.port)
            answers = {
                program: {(await program.receive())[0] for _ in range(5)} for program in programs
            }
            assert [own for own in answers.values() if len(own) != 1] == []
            assert len({own.pop() for own in answers.values()}) == len(programs)
            assert not any(program.has_received() for program in programs)
            assert a.listener is not None
            assert b.connector is not None
            assert a.listener.flows == b.connector.flows == len(programs)
            assert a.counters.counted() == b.counters.counted() == {"sent": 200, "received": 200}
    for program in programs:
        program.sock.close()


async def test_datagrams_of_every_length_cross_in_both_directions() -> None:
    numbers = random.Random(1)
    around_a_frame = range(1430, 1480)
    sizes = [0, 1, 500, 600, 1200, *around_a_frame, 9000, MAX_UDP_PAYLOAD - 1, MAX_UDP_PAYLOAD, 0]
    with Service() as service, Program() as program:
        async with two_hosts(connect=[service.endpoint]) as (a, b):
            for size in sizes:
                payload = numbers.randbytes(size)
                assert await program.ask(payload, a.port) == payload
                assert service.asked[-1][0] == payload
            assert (
                a.counters.counted()
                == b.counters.counted()
                == {"sent": len(sizes), "received": len(sizes)}
            )
            for way in (a.client.traffic.direct, b.client.traffic.direct):
                assert way.sent_octets == way.received_octets == sum(sizes)


async def test_a_client_may_listen_and_connect_at_the_same_time() -> None:
    with (
        Service(answer=lambda payload, _: b"at b: " + payload) as at_b,
        Service(answer=lambda payload, _: b"at a: " + payload) as at_a,
        Program() as one,
        Program() as other,
    ):
        async with two_hosts(
            connect=[at_b.endpoint], a_connect=[at_a.endpoint], b_listen="127.0.0.1"
        ) as (a, b):
            for _ in range(3):
                one.send(b"x", a.port)
                other.send(b"x", b.port)
            for _ in range(3):
                assert await one.receive() == (b"at b: x", a.port)
                assert await other.receive() == (b"at a: x", b.port)


class TestNames:
    """`--connect` with a name of several addresses, of which the service listens on one."""

    @pytest.mark.parametrize("position", [0, 1, 2])
    async def test_no_datagram_is_lost_whichever_address_the_service_listens_on(
        self, position: int
    ) -> None:
        targets = [unused(), unused(), Endpoint("::1", 16_545)]
        with Service("::1") if position == 2 else Service(*targets[position].sockaddr) as service:
            targets[position] = service.endpoint
            async with two_hosts(connect=targets) as (a, b):
                for number in range(3):
                    with Program() as program:
                        asked = b"%d" % number
                        assert await program.ask(asked, a.port) == asked
                assert [payload for payload, _ in service.asked] == [b"0", b"1", b"2"]
                assert (b.counters["refused"], b.problems) == (0, [])

    async def test_the_address_that_answered_is_asked_first_by_the_next_program(self) -> None:
        first, second = unused(), unused()
        with Service(*second.sockaddr), Program() as one, Program() as other:
            async with two_hosts(connect=[first, second]) as (a, _):
                await one.ask(b"x", a.port)
                with Service(*first.sockaddr) as late:
                    await other.ask(b"x", a.port)
                    assert late.asked == []

    async def test_a_service_that_listens_nowhere_is_told_with_all_its_addresses(self) -> None:
        first, second = unused(), unused()
        with Program() as program:
            async with two_hosts(connect=[first, second]) as (a, b):
                for count in (1, 2, 3):
                    program.send(b"x", a.port)
                    await refused(b, count)
                assert (
                    b.problems
                    == [
                        f"nothing listens on {first} or {second}: start the service or correct --connect"
                    ]
                    * 3
                )
                for endpoint in (second, first):  # it starts, and moves
                    with Service(*endpoint.sockaddr):
                        assert await program.ask(b"now", a.port) == b"now"
                    await self._gone(program, a, b)

    async def _gone(self, program: Program, a: Host, b: Host) -> None:
        before = b.counters["refused"]
        program.send(b"x", a.port)
        program.send(b"x", a.port)
        await eventually(lambda: b.counters["refused"] > before, "it is refused")

    async def test_an_address_that_cannot_be_reached_is_passed_over(self) -> None:
        nowhere = Endpoint("255.255.255.255", 9)  # connecting to a broadcast address is forbidden
        with Service() as service, Program() as program:
            async with two_hosts(connect=[nowhere, service.endpoint]) as (a, b):
                assert await program.ask(b"x", a.port) == b"x"
                assert b.problems == []
            async with two_hosts(connect=[nowhere]) as (a, b):
                program.send(b"x", a.port)
                await eventually(lambda: b.counters["unsendable"] == 1, "it is counted")
                assert b.problems == [
                    f"no way to {nowhere}: its address is one for broadcasts, or a firewall forbids it"
                ]


class TestFlows:
    """Flows come and go with the programs."""

    async def test_idle_flows_are_forgotten_on_both_sides_and_come_back(self) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(
                connect=[service.endpoint], settings=ClientSettings(flow_idle=0.25)
            ) as (a, b):
                assert a.listener is not None
                assert b.connector is not None
                for _ in range(2):
                    assert await program.ask(b"x", a.port) == b"x"
                    await eventually(lambda: not a.listener.flows, "a forgets the flow")  # type: ignore[union-attr]
                    await eventually(lambda: not b.connector.flows, "b forgets the flow")  # type: ignore[union-attr]
                assert len({source for _, source in service.asked}) == 2

    async def test_only_what_is_idle_expires(self) -> None:
        loop = asyncio.get_running_loop()
        with Service() as service, Program() as idle, Program() as busy, Program() as taker:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                for program in (idle, busy, taker):
                    await program.ask(b"x", a.port)
                taker_at = service.asked[-1][1]
                await asyncio.sleep(0.001)  # so that the clock has moved
                now = loop.time()
                await busy.ask(b"y", a.port)
                service.send(b"only receives", taker_at)
                await taker.receive()
                for side in (a.listener, b.connector):
                    assert side is not None
                    side.expire(now)
                    assert side.flows == 2
                for program in (busy, taker):
                    assert await program.ask(b"z", a.port) == b"z"
                assert len({source for _, source in service.asked}) == 3

    @pytest.mark.parametrize("receives_only", [False, True])
    async def test_a_full_table_gives_up_the_least_recently_used_flow(
        self, receives_only: bool
    ) -> None:
        few = ClientSettings(flows=2)
        with Service() as service, Program() as used, Program() as idle, Program() as third:
            async with two_hosts(connect=[service.endpoint], settings=few) as (a, b):
                for program in (used, idle):
                    await program.ask(b"x", a.port)
                used_at, idle_at = (source for _, source in service.asked)
                if receives_only:
                    service.send(b"y", used_at)
                    await used.receive()
                else:
                    await used.ask(b"y", a.port)
                await third.ask(b"x", a.port)
                service.send(b"to the idle", idle_at)
                service.send(b"to the used", used_at)
                assert (await used.receive())[0] == b"to the used"
                assert not idle.has_received()
                assert a.listener is not None
                assert b.connector is not None
                assert a.listener.flows == b.connector.flows == 2
                assert await idle.ask(b"back", a.port) == b"back"

    async def test_a_process_that_may_have_few_files_has_few_flows(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connector_module, "file_limit", lambda _: 68)
        connector = Connector(FixedService([unused()]), Counters(), print, ClientSettings())
        for number in range(5):
            connector.deliver(number, [memoryview(b"")])
        assert connector.flows == 2
        connector.close()
        assert connector.flows == 0


class TestAskedAddress:
    """On a wildcard address, a reply leaves from the address that was asked."""

    @pytest.mark.parametrize("listen", ["0.0.0.0", "::", "0::0"])
    @linux_only
    async def test_one_program_asks_several_addresses_of_the_listener(self, listen: str) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(listen=listen, connect=[service.endpoint]) as (a, _):
                port = a.port.port
                asked = [Endpoint(f"127.0.0.{number}", port) for number in (2, 1, 3)]
                for endpoint in (*asked, *asked):
                    program.send(b"%d" % endpoint.port, endpoint)
                    assert (await program.receive())[1] == endpoint
                assert len({source for _, source in service.asked}) == 3

    async def test_an_ipv6_program_gets_its_reply_from_the_ipv6_wildcard(self) -> None:
        with Service() as service, Program("::1") as program:
            async with two_hosts(listen="::", connect=[service.endpoint]) as (a, _):
                asked = Endpoint("::1", a.port.port)
                program.send(b"x", asked)
                assert await program.receive() == (b"x", asked)

    async def test_a_broadcast_is_answered_from_an_address_of_this_host(self) -> None:
        with Service() as service, Program() as program:
            program.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            async with two_hosts(listen="0.0.0.0", connect=[service.endpoint]) as (a, _):
                port = a.port.port
                program.send(b"x", Endpoint("127.255.255.255", port))
                assert await program.receive() == (b"x", Endpoint("127.0.0.1", port))


def test_a_zone_is_an_interface_and_one_that_is_not_there_may_come() -> None:
    lo = socket.if_nametoindex("lo")
    assert socket_address(Endpoint("fe80::1%lo", 53)) == ("fe80::1", 53, 0, lo)
    assert socket_address(Endpoint("fe80::1%7", 53)) == ("fe80::1", 53, 0, 7)
    assert socket_address(Endpoint("::1", 53)) == ("::1", 53)
    with pytest.raises(LocalAddressError, match="this host has no interface 'nowhere'"):
        open_udp(Endpoint("fe80::1%nowhere", 53))
    with pytest.raises(LocalAddressError, match="this host has no such address"):
        open_udp(Endpoint("fe80::1%lo", 0))


async def test_a_host_without_ipv6_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_ipv6(family: int, *_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", without_ipv6)
        with pytest.raises(UsageError, match=r"cannot use UDP \[::1\]:53: this host has no IPv6"):
            open_udp(Endpoint("::1", 53))
        with pytest.raises(UsageError, match=r"cannot use TCP \[::1\]:53: this host has no IPv6"):
            await serve("::1", 53)
