"""A client's UDP socket before and while a path stands on it: noise, early frames, forged proof."""

from __future__ import annotations

import asyncio
import random
import socket

from nat_traversal import Endpoint
from nat_traversal.aio.platform import Platform
from nat_traversal.client.security import Security
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import datagrams as d
from nat_traversal.wire import messages as m
from tests.loopback.aio.clients import (
    DISCARD,
    SETTINGS,
    a_scripted_server,
    a_waiting_client,
    punch_socket,
)
from tests.loopback.hosts import Host, two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.scripted import ScriptedPeer, ScriptedServer
from tests.loopback.support import eventually
from tests.unit.counterpart import altered, opened


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

    async def test_an_error_of_the_socket_is_no_news(self) -> None:
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

        async with two_hosts(connect=DISCARD, platform=Platform(open_udp=open_udp)):
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
                of_round = [
                    each for each in forgeries if (each.tag, each.round) == (genuine.tag, 1)
                ]
                assert a.counters.counted() == {"handshake-forged": len(of_round)}
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
