"""A client over real sockets, against servers and peers that the tests script or restart."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest

from nat_traversal import Endpoint, serve
from nat_traversal.aio import client as client_module
from nat_traversal.aio import control_connection as control_module
from nat_traversal.aio.client import Client, ClientConfig
from nat_traversal.aio.dial import AddressMemory
from nat_traversal.aio.forwarder import ProgramForwarder
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams as d
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.support import (
    Command,
    Host,
    Program,
    ScriptedServer,
    Service,
    Wire,
    a_server,
    eventually,
    two_hosts,
    unused,
)

SETTINGS = ClientSettings()
DISCARD = [Endpoint("127.0.0.1", 9)]
TOKEN = bytes(range(16))


def punch_socket(host: Host) -> Endpoint:
    return Endpoint("127.0.0.1", endpoint_of(host.socket.sock.getsockname()).port)


class ScriptedPeer:
    """Role B of a round that a scripted server runs with one host in role A."""

    def __init__(self, wire: Wire, program: Program, host: Host) -> None:
        self.wire = wire
        self.program = program
        self.host = host

    async def up_to_hello_3(self) -> None:
        candidates = (m.Candidate("srflx", self.program.endpoint),)
        self.wire.send(m.StartRound(1, 1, m.Role.A, TOKEN, candidates), m.SendHello(1, 1, 1, 1))
        await self.hears(d.Hello(TOKEN, 1, 1, False))
        self.sends(d.Hello(TOKEN, 1, 2, True))
        await self.hears(d.Hello(TOKEN, 1, 3, True))

    def sends(self, datagram: d.Datagram) -> None:
        self.program.send(d.encode(datagram), punch_socket(self.host))

    async def hears(self, datagram: d.Datagram) -> None:
        while d.decode((await self.program.receive())[0]) != datagram:
            pass


@asynccontextmanager
async def a_scripted_server() -> AsyncIterator[tuple[Host, Wire]]:
    """A client, and the server's end of its control connection."""
    async with (
        ScriptedServer.run() as server,
        Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as host,
    ):
        yield host, await server.client()


@asynccontextmanager
async def a_waiting_client() -> AsyncIterator[tuple[Host, Endpoint]]:
    """A client that waits for its peer, and the address of its server."""
    async with (
        a_server() as (server, _),
        Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as host,
    ):
        await host.notices.wait(e.MappingLearned)
        yield host, server.endpoint


class TestServerAddress:
    """Where the control connection goes."""

    async def test_a_server_that_is_not_there_is_tried_again_until_it_is(
        self,
    ) -> None:
        hasty = ClientSettings(reconnect_first=0.01, reconnect_most=0.02)
        endpoint = unused()
        async with Host(endpoint, "host_a", "host_b", connect=DISCARD, settings=hasty) as a:
            lost = await a.notices.wait(e.ServerLost, count=3)
            assert lost.reason == f"cannot connect to {endpoint}: Connection refused"
            assert lost.retry_in is not None
            async with (
                await serve(*endpoint.sockaddr),
                Host(endpoint, "host_b", "host_a", connect=DISCARD),
            ):
                await a.connected()

    async def test_the_next_address_of_a_name_is_tried(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with a_server() as (server, _):
            closed = unused()

            async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
                assert (name.port, families) == (server.endpoint.port, (4, 6))
                return [closed, server.endpoint]

            monkeypatch.setattr(client_module, "resolve", resolve)
            async with Host(server.endpoint, "host_a", "host_b", connect=DISCARD) as a:
                await a.notices.wait(e.MappingLearned)  # over UDP, from the address that answered
                assert a.notices.of(e.ServerLost) == []

    async def test_a_silent_first_address_costs_a_moment_and_what_worked_comes_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Silent to TCP, or silent to the registration: either counts as failed."""
        asked: list[list[Endpoint]] = []

        class Memory(AddressMemory):
            def order(self, addresses: Iterable[Endpoint]) -> list[Endpoint]:
                asked.append(super().order(addresses))
                return asked[-1]

        monkeypatch.setattr(client_module, "AddressMemory", Memory)
        with socket.socket() as mute:  # the kernel accepts, and nobody answers
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            silent = endpoint_of(mute.getsockname())
            async with a_server() as (server, _):

                async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
                    return [silent, server.endpoint]

                monkeypatch.setattr(client_module, "resolve", resolve)
                hasty = ClientSettings(answer_within=0.05, reconnect_first=0.01)
                async with Host(silent, "host_a", "host_b", connect=DISCARD, settings=hasty) as a:
                    await a.notices.wait(e.RegisteredAtServer)
                    assert asked == [[silent, server.endpoint], [server.endpoint, silent]]
                    a.client._close_control()
                    a.client.feed(e.ControlBroken("cut by the test"))
                    await a.notices.wait(e.RegisteredAtServer, 2)
                    assert asked[-1] == [server.endpoint, silent]

    async def test_the_last_address_that_fails_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoints = [unused() for _ in range(2)]

        async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
            return endpoints

        monkeypatch.setattr(client_module, "resolve", resolve)
        async with Host(endpoints[0], "host_a", "host_b", connect=DISCARD) as a:
            lost = await a.notices.wait(e.ServerLost)
            assert lost.reason == f"cannot connect to {endpoints[0]}: Connection refused"

    async def test_a_name_without_an_address_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_such_name(*_: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
        notices: list[e.Notice] = []
        config = ClientConfig(HostPort("server.example", 6545), "host_a", "host_b", once=True)
        client = Client(config, a_forwarder(), notices.append)
        client.start()
        await eventually(lambda: notices, "it is told")
        await client.close()
        reason = "there is no such name as 'server.example': check --server"
        assert notices == [e.ServerLost(reason, None)]

    async def test_a_name_that_takes_long_to_resolve_does_not_hold_up_the_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = asyncio.Event()

        async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
            await answer.wait()
            raise AssertionError

        monkeypatch.setattr(client_module, "resolve", resolve)
        async with Host(Endpoint("127.0.0.1", 9), "host_a", "host_b", connect=DISCARD) as a:
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
                lost = await a.notices.wait(e.ServerLost, count=2)
                assert lost.reason == "no answer within 0.02 s"
            for sock in fill:
                sock.close()


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
                    await host.notices.wait(e.ServerLost)
                assert await program.ask(b"without a server", a.port) == b"without a server"
                async with await serve(*endpoint.sockaddr) as server:
                    for host in (a, b):
                        await host.notices.wait(e.RegisteredAtServer, count=2)
                    assert server.rendezvous.registered == {"host_a", "host_b"}
                    assert await program.ask(b"after", a.port) == b"after"
                    for host in (a, b):
                        assert host.notices.of(e.PathLost) == []
                        assert len(host.notices.of(e.PathEstablished)) == 1
                assert len({source for _, source in service.asked}) == 1

    async def test_a_server_that_talks_nonsense_is_left(self) -> None:
        async with a_scripted_server() as (a, wire):
            wire.writer.write(b"nonsense\nmore nonsense\n")
            lost = await a.notices.wait(e.ServerLost)
            assert lost.reason == "a line must be one JSON object in UTF-8"
            await wire.ended()

    async def test_what_a_server_says_after_its_refusal_is_not_heard(self) -> None:
        async with a_scripted_server() as (a, wire):
            wire.send(m.Refused("server-full", "no room"), m.PeerStatus(m.PeerState.LEFT))
            await a.notices.wait(e.ServerLost)
            await wire.ended()
            assert e.PeerSeen("host_b", m.PeerState.LEFT) not in a.notices

    async def test_a_server_that_does_not_read_is_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "ClientSettings", lambda: ClientSettings(backlog=10))
        async with a_scripted_server() as (a, wire):
            assert a.client._control is not None
            transport = a.client._control.transport
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not a.notices.of(e.ServerLost):
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
            await eventually(lambda: protocol._transport is None, "it is closed")
        assert heard == []


class TestPunchSocket:
    """The UDP socket before and while a path stands on it."""

    async def test_noise_of_every_length_does_not_keep_a_pair_from_connecting(self) -> None:
        numbers = random.Random(3)
        async with a_waiting_client() as (a, server):
            target = punch_socket(a)
            with Program() as stranger:
                for length in [*range(1500), 9000, 65_507]:
                    stranger.send(numbers.randbytes(length), target)
                    kind = numbers.choice(list(d.Kind))
                    stranger.send(bytes([kind]) + numbers.randbytes(length % 100), target)
                    if length % 50 == 0:
                        await asyncio.sleep(0)
                await eventually(lambda: a.counters["malformed"] > 0, "a counts noise")
                async with Host(server, "host_b", "host_a", connect=DISCARD) as b:
                    await a.connected()
                    await b.connected()
                assert not stranger.has_received()

    async def test_noise_does_not_reach_an_established_path(self) -> None:
        with Service() as service, Program() as program, Program() as stranger:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                before = (a.counters["malformed"], b.counters["malformed"])
                for host in (a, b):
                    for kind in d.Kind:
                        stranger.send(bytes([kind]) * 40, punch_socket(host))
                assert await program.ask(b"x", a.port) == b"x"
                assert (a.counters["malformed"], b.counters["malformed"]) == before

    async def test_nonsense_from_the_peer_itself_is_counted(self) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                for nonsense in (b"", b"\x00", b"HELLO", bytes([d.Kind.PONG])):
                    b.socket.sock.send(nonsense)
                await eventually(lambda: a.counters["malformed"] == 4, "a counts it")
                assert await program.ask(b"x", a.port) == b"x"

    async def test_data_that_overtakes_the_confirm_proves_the_path_and_is_delivered(self) -> None:
        with Service() as service, Program() as program:
            async with (
                ScriptedServer.run() as server,
                Host(server.endpoint, "host_a", "host_b", connect=[service.endpoint]) as a,
            ):
                peer = ScriptedPeer(await server.client(), program, a)
                await peer.up_to_hello_3()
                peer.sends(d.Data(TOKEN[:4], 1, True, b"first"))
                peer.sends(d.Data(TOKEN[:4], 1, True, b"second"))
                await peer.hears(d.Data(TOKEN[:4], 1, False, b"first"))
                await peer.hears(d.Data(TOKEN[:4], 1, False, b"second"))
                assert (await a.connected()).remote == program.endpoint
                assert (await peer.wire.until(m.Established)).attempt == 1
                assert a.counters.counted() == {"sent": 2, "received": 2}

    async def test_the_end_of_a_path_says_goodbye_to_the_peer(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program, a)
                await peer.up_to_hello_3()
                peer.sends(d.Confirm(TOKEN, 1, False))
                await a.connected()
            await peer.hears(d.Bye(TOKEN))

    async def test_the_goodbye_is_not_lost_to_an_earlier_datagram_s_icmp_answer(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program, a)
                await peer.up_to_hello_3()
                peer.sends(d.Confirm(TOKEN, 1, False))
                remote = (await a.connected()).remote
                program.sock.close()
                a.path.send(1, True, b"nobody listens")
                program = peer.program = Program(*remote.sockaddr)  # noqa: PLW2901
            await peer.hears(d.Bye(TOKEN))
            program.sock.close()

    async def test_a_hello_that_cannot_be_sent_is_counted(self) -> None:
        nowhere = m.Candidate("srflx", Endpoint("255.255.255.255", 9))
        async with a_scripted_server() as (a, wire):
            wire.send(m.StartRound(1, 1, m.Role.A, TOKEN, (nowhere,)), m.SendHello(1, 1, 1, 1))
            await wire.until(m.HelloSent)
            assert a.counters["unsendable"] == 1

    async def test_an_error_of_the_socket_is_no_news(self, monkeypatch: pytest.MonkeyPatch) -> None:
        errors = [OSError(101, "Network is unreachable")]

        class Stumbling(socket.socket):
            def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, object]:
                if errors:
                    raise errors.pop()
                return super().recvfrom(bufsize, flags)

        def open_udp(local: Endpoint, buffer: int) -> socket.socket:
            sock = Stumbling(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            return sock

        monkeypatch.setattr(client_module, "open_udp", open_udp)
        async with two_hosts(connect=DISCARD):
            assert errors == []

    async def test_more_than_one_drain_of_datagrams_are_all_read(self) -> None:
        async with a_waiting_client() as (a, _):
            with Program() as stranger:
                for _ in range(2 * SETTINGS.batch + 1):
                    stranger.send(b"?", punch_socket(a))
                await eventually(
                    lambda: a.counters["malformed"] == 2 * SETTINGS.batch + 1, "all are read"
                )

    async def test_a_bye_of_another_round_changes_nothing(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program, a)
                await peer.up_to_hello_3()
                peer.sends(d.Confirm(TOKEN, 1, False))
                await a.connected()
                peer.sends(d.Bye(b"?" * 16))
                peer.sends(d.Ping(TOKEN, b"12345678"))
                await peer.hears(d.Pong(TOKEN, b"12345678"))
                assert a.notices.of(e.PathLost) == []
                peer.sends(d.Bye(TOKEN))
                lost = await a.notices.wait(e.PathLost)
                assert lost.reason == "the other side closed it"
                await peer.wire.until(m.Retry)


class TestPeer:
    """The other host goes and comes back; the local programs see a gap at most."""

    async def test_traffic_goes_on_after_the_peer_was_restarted(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            ):
                for count in (1, 2):
                    async with Host(
                        server.endpoint, "host_b", "host_a", connect=[service.endpoint]
                    ):
                        await a.connected(count)
                        assert await program.ask(b"x", a.port) == b"x"
                    lost = await a.notices.wait(e.PathLost, count)
                    assert lost.reason == "the other side closed it"

    async def test_traffic_goes_on_after_the_listening_side_was_restarted(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_b", "host_a", connect=[service.endpoint]) as b,
            ):
                for count in (1, 2):
                    async with Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a:
                        await a.connected()
                        assert await program.ask(b"x", a.port) == b"x"
                    await b.notices.wait(e.PathLost, count)
                    assert b.connector is not None
                    assert b.connector.flows == 0
            assert len({source for _, source in service.asked}) == 2

    async def test_traffic_goes_on_after_the_peer_was_killed_and_started_again(self) -> None:
        with Service() as service, Program() as program:
            async with (
                a_server() as (server, _),
                Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            ):
                words = ("python3", "traversal_client.py", "--server", str(server.endpoint))
                names = ("--id", "host_b", "-r", "host_a", "--connect", str(service.endpoint))
                for count in (1, 2):
                    async with Command.run(*words, *names) as b:
                        await b.line("connected to")
                        await a.connected(count)
                        assert await program.ask(b"x", a.port) == b"x"
                        assert await b.end(signal.SIGKILL) == -signal.SIGKILL
                assert len(a.notices.of(e.PathLost)) == 1

    async def test_a_peer_that_stops_answering_is_noticed_and_found_again(
        self,
    ) -> None:
        hasty = ClientSettings().with_consent(0.5)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], settings=hasty) as (a, b):
                asyncio.get_running_loop().remove_reader(b.socket.sock)  # b is deaf
                for host in (a, b):
                    await host.connected(2)
                lost = [*a.notices.of(e.PathLost), *b.notices.of(e.PathLost)]
                assert e.PathLost("the other side has stopped answering") in lost
                assert await program.ask(b"x", a.port) == b"x"
