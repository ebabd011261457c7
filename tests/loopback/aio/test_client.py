"""A client's control connection over real sockets, against servers that the tests script or restart."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import pytest

from nat_traversal import Endpoint, serve
from nat_traversal.aio import control_connection as control_module
from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.forwarder import ProgramForwarder
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.aio.clients import DISCARD, SETTINGS, a_scripted_server
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program, Service
from tests.loopback.scripted import ScriptedServer
from tests.loopback.support import eventually, unused


class TestServerAddress:
    """Where the control connection goes."""

    async def test_a_server_that_is_not_there_is_tried_again_until_it_is(
        self,
    ) -> None:
        hasty = ClientSettings(reconnect_first=0.01, reconnect_most=0.02)
        endpoint = unused()
        async with Host(endpoint, "host_a", "host_b", connect=DISCARD, settings=hasty) as a:
            lost = await a.notices.wait(note.ServerLost, count=3)
            assert lost.reason == f"cannot connect to {endpoint}: Connection refused"
            assert lost.retry_in is not None
            async with (
                await serve(*endpoint.sockaddr),
                Host(endpoint, "host_b", "host_a", connect=DISCARD),
            ):
                await a.connected()

    async def test_the_next_address_of_a_name_is_tried(self) -> None:
        async with a_server() as (server, _):
            closed = unused()

            async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
                assert (name.port, families) == (server.endpoint.port, (4, 6))
                return [closed, server.endpoint]

            platform = Platform(resolve=resolve)
            where = server.endpoint
            async with Host(where, "host_a", "host_b", connect=DISCARD, platform=platform) as a:
                # Over UDP, from the address that answered.
                await a.notices.wait(note.MappingLearned)
                assert a.notices.of(note.ServerLost) == []

    async def test_a_silent_first_address_costs_a_moment_and_what_worked_comes_first(self) -> None:
        """Silent to the registration counts as failed, as silent to TCP does."""
        with socket.socket() as mute:  # the kernel accepts, and nobody answers
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            mute.setblocking(False)
            silent = endpoint_of(mute.getsockname())
            async with a_server() as (server, _):

                async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
                    return [silent, server.endpoint]

                hasty = ClientSettings(answer_within=0.5, reconnect_first=0.01)
                async with Host(
                    *(silent, "host_a", "host_b"),
                    connect=DISCARD,
                    settings=hasty,
                    platform=Platform(resolve=resolve),
                ) as a:
                    await a.notices.wait(note.RegisteredAtServer)
                    assert accepted(mute) == 1, "the first address was tried first, once"
                    (connection,) = server.connections
                    connection.close()
                    await a.notices.wait(note.RegisteredAtServer, 2)
                    assert accepted(mute) == 0, "the one that worked came first"

    async def test_the_last_address_that_fails_is_told(self) -> None:
        endpoints = [unused() for _ in range(2)]

        async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
            return endpoints

        platform = Platform(resolve=resolve)
        async with Host(endpoints[0], "host_a", "host_b", connect=DISCARD, platform=platform) as a:
            lost = await a.notices.wait(note.ServerLost)
            assert lost.reason == f"cannot connect to {endpoints[0]}: Connection refused"
            assert lost.remedy == "start the server there, or correct --server"

    async def test_a_name_without_an_address_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_such_name(*_: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
        notices: list[note.Notice] = []
        config = ClientConfig(HostPort("server.example", 6545), "host_a", "host_b", once=True)
        client = Client(config, a_forwarder(), notices.append)
        client.start()
        await eventually(lambda: notices, "it is told")
        await client.close()
        reason = "there is no such name as 'server.example'"
        assert notices == [note.ServerLost(reason, None, "correct --server")]

    async def test_a_name_that_takes_long_to_resolve_does_not_hold_up_the_end(self) -> None:
        answer = asyncio.Event()

        async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
            await answer.wait()
            raise AssertionError

        platform = Platform(resolve=resolve)
        nowhere = Endpoint("127.0.0.1", 9)
        async with Host(nowhere, "host_a", "host_b", connect=DISCARD, platform=platform) as a:
            await asyncio.sleep(0)
        assert a.notices == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_connection_that_takes_too_long_is_given_up_and_tried_again(
        self,
    ) -> None:
        hasty = ClientSettings(answer_within=0.02, reconnect_first=0.01)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fill = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(4)]
            for sock in fill:  # then the kernel drops what asks for a connection
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
            endpoint = endpoint_of(full.getsockname())
            async with Host(endpoint, "host_a", "host_b", connect=DISCARD, settings=hasty) as a:
                lost = await a.notices.wait(note.ServerLost, count=2)
                assert lost.reason == "no answer within 0.02 s"
            for sock in fill:
                sock.close()


def accepted(listening: socket.socket) -> int:
    """How many connections the kernel has accepted there since it was asked last."""
    for count in itertools.count():
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError


def a_forwarder() -> ProgramForwarder:
    forwarder = ProgramForwarder(Counters(), None, None, print, SETTINGS)
    forwarder.close()
    return forwarder


class TestControl:
    """The control connection."""

    async def test_a_server_that_restarts_leaves_the_path_alone(
        self,
    ) -> None:
        hasty = ClientSettings(reconnect_first=0.01)
        endpoint = unused()
        with Service() as service, Program() as program:
            server = await serve(*endpoint.sockaddr)
            async with (
                Host(endpoint, "host_a", "host_b", listen="127.0.0.1", settings=hasty) as a,
                Host(endpoint, "host_b", "host_a", connect=[service.endpoint], settings=hasty) as b,
            ):
                await a.connected()
                await b.connected()
                await server.close()
                for host in (a, b):
                    await host.notices.wait(note.ServerLost)
                assert await program.ask(b"without a server", a.port) == b"without a server"
                async with await serve(*endpoint.sockaddr) as server:
                    for host in (a, b):
                        await host.notices.wait(note.RegisteredAtServer, count=2)
                    assert server.rendezvous.registered == {"host_a", "host_b"}
                    assert await program.ask(b"after", a.port) == b"after"
                    for host in (a, b):
                        assert host.notices.of(note.PathLost) == []
                        assert len(host.notices.of(note.PathEstablished)) == 1
                assert len({source for _, source in service.asked}) == 1

    async def test_a_server_that_talks_nonsense_is_left(self) -> None:
        async with a_scripted_server() as (a, wire):
            wire.writer.write(b"nonsense\nmore nonsense\n")
            lost = await a.notices.wait(note.ServerLost)
            assert lost.reason == "a line must be one JSON object in UTF-8"
            await wire.ended()

    async def test_what_a_server_says_after_its_refusal_is_not_heard(self) -> None:
        async with a_scripted_server() as (a, wire):
            wire.send(m.Refused("server-full", "no room"), m.PeerStatus(m.PeerState.LEFT))
            await a.notices.wait(note.ServerLost)
            await wire.ended()
            assert note.PeerSeen("host_b", m.PeerState.LEFT) not in a.notices

    async def test_a_server_that_does_not_read_is_left(self) -> None:
        async with a_scripted_server(ClientSettings(backlog=10)) as (a, wire):
            assert a.client.control is not None
            transport = a.client.control.transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not a.notices.of(note.ServerLost):
                wire.send(*[m.Heartbeat(1)] * 100)
                await asyncio.sleep(0)

    async def test_what_was_sent_before_a_close_still_arrives(self) -> None:
        async with ScriptedServer.run() as server:
            async with Host(server.endpoint, "host_a", "host_b", connect=DISCARD):
                wire = await server.client()
                wire.send(m.Heartbeat(9), m.Heartbeat(10))
                await wire.until(m.HeartbeatAnswer)
            assert await wire.next() == m.HeartbeatAnswer(10)
            await wire.ended()

    async def test_a_connection_that_stands_too_late_is_dropped(self) -> None:
        """It was given up while the last step of it was on its way."""
        heard: list[e.Event] = []
        async with ScriptedServer.run() as server:
            protocol = control_module.ControlProtocol(0, heard.append, ClientSettings())
            protocol.close()
            protocol.send(m.Heartbeat(1))
            await asyncio.get_running_loop().create_connection(
                lambda: protocol, *server.endpoint.sockaddr
            )
            await eventually(lambda: not protocol.is_open, "it is closed")
        assert heard == []


async def test_a_server_whose_name_leads_elsewhere_is_found_there_and_the_path_goes_on() -> None:
    """The name is looked up at each connection, and the path needs no server."""
    hasty = ClientSettings(reconnect_first=0.01, reconnect_most=0.02)
    leads_to: list[Endpoint] = []

    async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
        del name, families
        return leads_to

    platform = Platform(resolve=resolve)
    with Service() as service, Program() as program:
        async with a_server() as (second, _), AsyncExitStack() as stack:
            first, _ = await (gone := AsyncExitStack()).enter_async_context(a_server())
            leads_to.append(first.endpoint)
            host_of = partial(Host, first.endpoint, settings=hasty, platform=platform)
            a = host_of("host_a", "host_b", listen="127.0.0.1")
            b = host_of("host_b", "host_a", connect=[service.endpoint])
            for host in (a, b):
                await stack.enter_async_context(host)
            for host in (a, b):
                await host.connected()
            leads_to[:] = [second.endpoint]
            await gone.aclose()
            for host in (a, b):
                await host.notices.wait(note.RegisteredAtServer, count=2)
            assert await program.ask(b"across", a.port) == b"across"
            for host in (a, b):
                assert len(host.notices.of(note.PathEstablished)) == 1
