"""A client over real sockets, against servers and peers that the tests script or restart."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest

from nat_traversal import Endpoint, ServerSettings, serve
from nat_traversal.aio import client as client_module
from nat_traversal.aio import control_connection as control_module
from nat_traversal.aio.client import Client, ClientConfig
from nat_traversal.aio.dial import AddressMemory
from nat_traversal.aio.forwarder import ProgramForwarder
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.client.security import Security
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams as d
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server, two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.scripted import ScriptedPeer, ScriptedServer, Wire
from tests.loopback.support import eventually, unused
from tests.unit.counterpart import altered, opened

SETTINGS = ClientSettings()
DISCARD = [Endpoint("127.0.0.1", 9)]


def punch_socket(host: Host) -> Endpoint:
    return Endpoint("127.0.0.1", endpoint_of(host.socket.sock.getsockname()).port)


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
        await host.notices.wait(note.MappingLearned)
        yield host, server.endpoint


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
                await a.notices.wait(
                    note.MappingLearned
                )  # over UDP, from the address that answered
                assert a.notices.of(note.ServerLost) == []

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
                    await a.notices.wait(note.RegisteredAtServer)
                    assert asked == [[silent, server.endpoint], [server.endpoint, silent]]
                    (connection,) = server.connections
                    connection.close()
                    await a.notices.wait(note.RegisteredAtServer, 2)
                    assert asked[-1] == [server.endpoint, silent]

    async def test_the_last_address_that_fails_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoints = [unused() for _ in range(2)]

        async def resolve(name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
            return endpoints

        monkeypatch.setattr(client_module, "resolve", resolve)
        async with Host(endpoints[0], "host_a", "host_b", connect=DISCARD) as a:
            lost = await a.notices.wait(note.ServerLost)
            assert lost.reason == f"cannot connect to {endpoints[0]}: Connection refused"

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
        reason = "there is no such name as 'server.example': check --server"
        assert notices == [note.ServerLost(reason, None)]

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
                lost = await a.notices.wait(note.ServerLost, count=2)
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

    async def test_a_server_that_does_not_read_is_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_module, "ClientSettings", lambda: ClientSettings(backlog=10))
        async with a_scripted_server() as (a, wire):
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
                await eventually(lambda: a.counters["stranger"] == 1, "a counts it")
                assert a.counters["malformed"] == 3
                assert await program.ask(b"x", a.port) == b"x"

    async def test_frames_that_overtake_the_confirm_are_delivered_after_it(self) -> None:
        with Service() as service, Program() as program:
            async with (
                ScriptedServer.run() as server,
                Host(server.endpoint, "host_a", "host_b", connect=[service.endpoint]) as a,
            ):
                peer = ScriptedPeer(await server.client(), program)
                await peer.up_to_hello_3()
                for payload in (b"first", b"second"):
                    peer.sends_frame(d.Kind.DATA, to_flow(1) + payload)
                await eventually(lambda: len(a.socket.early) == 2, "they wait for the proof")
                assert a.notices.of(note.PathEstablished) == []
                assert service.asked == []
                peer.confirms()
                await peer.hears_frame(d.Kind.DATA, from_flow(1) + b"first")
                await peer.hears_frame(d.Kind.DATA, from_flow(1) + b"second")
                assert [payload for payload, _ in service.asked] == [b"first", b"second"]
                assert (await a.connected()).remote == program.endpoint
                assert (await peer.wire.until(m.Established)).attempt == 1
                assert a.counters.counted() == {"sent": 2, "received": 2}

    async def test_frames_of_strangers_before_the_proof_are_never_delivered(self) -> None:
        """They are kept as the peer's would be; the keys tell them apart."""
        with Service() as service, Program() as program, Program() as stranger:
            async with (
                ScriptedServer.run() as server,
                Host(server.endpoint, "host_a", "host_b", connect=[service.endpoint]) as a,
            ):
                peer = ScriptedPeer(await server.client(), program)
                await peer.up_to_hello_3()
                frame = peer.epochs.sealer.seal(d.Kind.DATA, to_flow(1) + b"genuine")
                for forged in (frame[:-1] + bytes([frame[-1] ^ 1]), bytes([d.Kind.DATA]) * 60):
                    stranger.send(forged, peer.host)
                await eventually(lambda: len(a.socket.early) == 2, "they wait for the proof")
                peer.sends(frame)
                peer.sends(frame)
                await eventually(lambda: len(a.socket.early) == 4, "it waits for the proof")
                peer.confirms()
                await peer.hears_frame(d.Kind.DATA, from_flow(1) + b"genuine")
                assert [payload for payload, _ in service.asked] == [b"genuine"]
                counted = {"not-authentic": 1, "stranger": 1, "replayed": 1}
                assert a.counters.counted() == {"sent": 1, "received": 1, **counted}

    async def test_only_so_many_early_frames_are_kept_and_they_are_the_newest(self) -> None:
        few = ClientSettings(early_frames=2)
        with Service() as service, Program() as program:
            async with (
                ScriptedServer.run() as server,
                Host(
                    *(server.endpoint, "host_a", "host_b"),
                    connect=[service.endpoint],
                    settings=few,
                ) as a,
            ):
                peer = ScriptedPeer(await server.client(), program)
                await peer.up_to_hello_3()
                for payload in (b"1", b"2", b"3"):
                    peer.sends_frame(d.Kind.DATA, to_flow(1) + payload)
                await eventually(
                    lambda: (
                        a.socket.early and a.socket.early[-1][5:11] == bytes([0, 0, 0, 0, 0, 2])
                    ),
                    "the last has come",
                )
                peer.confirms()
                await peer.hears_frame(d.Kind.DATA, from_flow(1) + b"3")
                assert [payload for payload, _ in service.asked] == [b"2", b"3"]

    async def test_no_datagram_of_a_program_leaves_before_the_proof(self) -> None:
        with Program() as local, Program() as program:
            async with (
                ScriptedServer.run() as server,
                Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as a,
            ):
                peer = ScriptedPeer(await server.client(), program)
                await peer.up_to_hello_3()
                local.send(b"early", a.port)
                await eventually(lambda: a.counters["unsendable"] == 1, "it was not sent")
                peer.confirms()
                await a.connected()
                local.send(b"late", a.port)
                await eventually(lambda: a.counters["sent"] == 1, "it was sent")
                payloads: list[bytes] = []
                while b"late" not in payloads:
                    octets, _ = await program.receive()
                    assert b"early" not in octets
                    assert b"late" not in octets, "it is sealed"
                    payloads += [
                        plain[5:]
                        for kind, plain in opened(peer.epochs, octets)
                        if kind is d.Kind.DATA
                    ]
                assert payloads == [b"late"]

    async def test_the_end_of_a_path_says_goodbye_to_the_peer(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program)
                await peer.up_to_hello_3()
                peer.confirms()
                await a.connected()
            await peer.hears_frame(d.Kind.BYE)

    async def test_the_goodbye_is_not_lost_to_an_earlier_datagram_s_icmp_answer(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program)
                await peer.up_to_hello_3()
                peer.confirms()
                remote = (await a.connected()).remote
                program.sock.close()
                a.path.send(1, True, b"nobody listens")
                program = peer.program = Program(*remote.sockaddr)  # noqa: PLW2901
            await peer.hears_frame(d.Kind.BYE)
            program.sock.close()

    async def test_a_hello_that_cannot_be_sent_is_counted(self) -> None:
        nowhere = Endpoint("2001:db8::1", 9)  # from a socket of IPv4
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                start = ScriptedPeer(wire, program).start(m.Role.A, nowhere)
                wire.send(start, m.SendHello(1, 1, 1, 1))
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

    async def test_a_bye_that_the_peer_has_not_sealed_changes_nothing(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program)
                await peer.up_to_hello_3()
                peer.confirms()
                await a.connected()
                bye = peer.epochs.sealer.seal(d.Kind.BYE, b"")
                for forged in (
                    bye[:-1] + bytes([bye[-1] ^ 1]),
                    bytes([d.Kind.BYE]) + b"else" + bye[5:],
                    bytes([d.Kind.PONG]) + bye[1:],
                ):
                    peer.sends(forged)
                peer.sends_frame(d.Kind.PING, b"12345678")
                await peer.hears_frame(d.Kind.PONG, b"12345678")
                assert a.notices.of(note.PathLost) == []
                assert a.counters.counted() == {"stranger": 1, "not-authentic": 2}
                peer.sends(bye)
                lost = await a.notices.wait(note.PathLost)
                assert lost.reason == "the other side closed it"
                await peer.wire.until(m.Retry)

    async def test_a_second_start_for_a_socket_is_refused(self) -> None:
        """Its key serves one round, whoever asks for another."""
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program)
                await peer.up_to_hello_3()
                again = ScriptedPeer(wire, program, attempt=2)
                wire.send(again.start(m.Role.A), m.SendHello(2, 2, 1, 1), m.Heartbeat(9))
                await wire.until(m.HeartbeatAnswer)
                assert len(a.notices.of(note.RoundStarted)) == 1
                peer.confirms()
                await a.connected()

    async def test_what_the_peer_s_key_has_not_made_proves_nothing(self) -> None:
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program)
                await peer.up_to_hello_3()
                genuine = peer.voice.confirm(to=peer.host, echo=peer.heard.nonce)
                forgeries = list(altered(genuine))
                for forged in forgeries:
                    peer.sends(forged)
                wire.send(m.SendHello(2, 1, 1, 3), m.Heartbeat(9))
                await wire.until(m.HeartbeatAnswer)
                await peer.hears(3)  # said again after all that: nothing was proof
                assert a.notices.of(note.PathEstablished) == []
                peer.sends(genuine)
                await a.connected()

    async def test_two_sides_that_trust_differently_are_both_told_in_one_line(self) -> None:
        shared = Security.sealed(psk=b"s" * 32)
        with Program() as program:
            async with a_scripted_server() as (a, wire):
                peer = ScriptedPeer(wire, program, shared)
                wire.send(peer.counterpart.start(m.Role.A, program.endpoint))
                assert await wire.until(m.Decline) == m.Decline(1)
                failed = await a.notices.wait(note.AttemptFailed)
                advice = "give both the same kind of key"
                assert (failed.code, failed.text) == (
                    "keys-differ",
                    f"this side asks for no key, host_b for a shared key: {advice}",
                )
                assert not program.has_received()


def to_flow(number: int) -> bytes:
    """What lies before a datagram from the listening side."""
    return b"\x01" + number.to_bytes(4, "big")


def from_flow(number: int) -> bytes:
    """What lies before an answer to it."""
    return b"\x00" + number.to_bytes(4, "big")


class TestTrust:
    """Two real clients, each with what it was given."""

    @pytest.mark.parametrize("name", ["plaintext", "shared key", "identities"])
    async def test_two_that_were_given_the_same_connect(self, name: str) -> None:
        numbers = random.Random(1)
        a_key, b_key = KeyPair.generate(numbers), KeyPair.generate(numbers)
        a_has, b_has, vouched = {
            "plaintext": (
                Security.plaintext(),
                Security.plaintext(),
                "not encrypted, since both sides have --plaintext",
            ),
            "shared key": (
                Security.sealed(psk=b"s" * 32),
                Security.sealed(psk=b"s" * 32),
                "sealed; host_b has the shared key",
            ),
            "identities": (
                Security.sealed(identity=a_key, known={"host_b": b_key.public}),
                Security.sealed(identity=b_key, known={"host_a": a_key.public}),
                "sealed; host_b has the key that this side knows",
            ),
        }[name]
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], security=(a_has, b_has)) as (a, _):
                assert (await a.connected()).vouched == vouched
                assert await program.ask(b"x" * 5000, a.port) == b"x" * 5000

    async def test_a_wrong_shared_key_is_found_out_and_told(self) -> None:
        settings = ServerSettings(verdict_within=0.3, longest_round_trip=0.0)
        with Service() as service:
            async with (
                a_server(settings=settings) as (server, notices),
                Host(
                    *(server.endpoint, "host_a", "host_b"),
                    connect=[service.endpoint],
                    security=Security.sealed(psk=b"s" * 32),
                ) as a,
                Host(
                    *(server.endpoint, "host_b", "host_a"),
                    listen="127.0.0.1",
                    security=Security.sealed(psk=b"t" * 32),
                ) as b,
            ):
                for host, other in ((a, "host_b"), (b, "host_a")):
                    failed = await host.notices.wait(note.AttemptFailed)
                    text = f"the host that answers as {other} does not have its key"
                    assert (failed.code, failed.text) == ("keys-differ", text)
                    assert host.notices.of(note.PathEstablished) == []
                assert (await notices.wait(note.PairFailed)).code == "no-path"

    async def test_plaintext_on_one_side_ends_the_attempt_for_both(self) -> None:
        async with (
            a_server() as (server, notices),
            Host(
                *(server.endpoint, "host_a", "host_b"),
                connect=DISCARD,
                security=Security.plaintext(),
            ) as a,
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
        ):
            at_a = (await a.notices.wait(note.AttemptFailed)).text
            at_b = (await b.notices.wait(note.AttemptFailed)).text
            advice = "give it to both or to neither"
            assert at_a == f"this side has --plaintext, host_b has not: {advice}"
            assert at_b == f"host_a has --plaintext, this side has not: {advice}"
            assert (await notices.wait(note.PairFailed)).code == "keys-differ"
            for host in (a, b):
                assert host.notices.of(note.HelloWentOut) == []


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
                    lost = await a.notices.wait(note.PathLost, count)
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
                    await b.notices.wait(note.PathLost, count)
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
                assert len(a.notices.of(note.PathLost)) == 1

    async def test_a_peer_that_stops_answering_is_noticed_and_found_again(
        self,
    ) -> None:
        hasty = ClientSettings().with_consent(0.5)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], settings=hasty) as (a, b):
                asyncio.get_running_loop().remove_reader(b.socket.sock)  # b is deaf
                for host in (a, b):
                    await host.connected(2)
                lost = [*a.notices.of(note.PathLost), *b.notices.of(note.PathLost)]
                assert note.PathLost("the other side has stopped answering") in lost
                assert await program.ask(b"x", a.port) == b"x"
