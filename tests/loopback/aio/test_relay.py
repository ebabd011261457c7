"""The relay with real sockets: hosts that can meet nowhere else, and the move to a direct path."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from nat_traversal import ClientSettings, Endpoint, ServerSettings, connect, serve
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.client.security import Security
from nat_traversal.machine import notices as note
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import HostPort
from tests.certificates import Authority
from tests.loopback.hosts import Host
from tests.loopback.programs import Program, Service
from tests.loopback.support import DEADLINE, eventually

BOTH = ["127.0.0.1", "::1"]
"""A server at both IP versions: hosts that come by different ones have no direct path."""


async def test_hosts_that_came_by_different_ip_versions_meet_at_the_relay() -> None:
    with Service() as service, Program() as program:
        async with await serve(BOTH, 0) as server:
            over_4, over_6 = server.endpoints
            async with (
                Host(over_4, "host_a", "host_b", listen="127.0.0.1") as a,
                Host(over_6, "host_b", "host_a", connect=[service.endpoint]) as b,
            ):
                for host in (a, b):
                    assert (await host.connected()).method == "relay"
                    not_direct = await host.notices.wait(note.NotDirect)
                    assert not_direct.code == m.Verdict.NO_ADDRESS
                for size in (0, 1, 1_400, 20_000):
                    assert await program.ask(b"x" * size, a.port) == b"x" * size
                assert a.notices.of(note.AttemptFailed) == []
                assert server.counters["relay-datagrams"] > 0
                await b.client.close()
                lost = await a.notices.wait(note.PathLost)
                assert lost.reason == "the other side closed it"


async def test_no_number_is_lost_or_doubled_when_datagrams_move_to_the_direct_path() -> None:
    with Service() as service, Program() as program:
        async with await serve("127.0.0.1", 0) as server:
            early, settings = m.Relaying.EARLY, ClientSettings(path_linger=1.0)
            async with (
                Host(
                    *(server.endpoint, "host_a", "host_b"),
                    listen="127.0.0.1",
                    relaying=early,
                    settings=settings,
                ) as a,
                Host(
                    *(server.endpoint, "host_b", "host_a"),
                    connect=[service.endpoint],
                    relaying=early,
                    settings=settings,
                ) as b,
            ):
                await a.connected()
                await b.connected()
                sent = 0

                def is_over() -> bool:
                    """One socket is left: the relay's is closed."""
                    return len(a.client.sockets) == len(b.client.sockets) == 1

                while sent <= 100 or not (is_over() and server.counters["relays-begun"]):
                    program.send(b"%d" % sent, a.port)
                    sent += 1
                    await asyncio.sleep(0.002)
                await eventually(lambda: len(service.asked) >= sent, "all have come")
                assert sorted(int(data) for data, _ in service.asked) == list(range(sent))
                assert a.client.selected is not None
                assert a.client.selected.order.remote != server.endpoint


async def test_a_connection_in_python_uses_the_relay() -> None:
    async with await serve(BOTH, 0) as server:
        over_4, over_6 = (f"{HostPort(*each.sockaddr)}" for each in server.endpoints)

        async def echo() -> str:
            async with connect(over_6, local_id="two", remote_id="one") as two:
                two.send(await two.receive())
                await two.receive()
                return two.method

        other = asyncio.create_task(echo())
        async with (
            asyncio.timeout(DEADLINE),
            connect(over_4, local_id="one", remote_id="two") as one,
        ):
            assert one.method == "relay"
            one.send(b"hello")
            assert await one.receive() == b"hello"
            one.send(b"goodbye")
            assert await other == "relay"


async def test_a_server_without_relays_and_a_plaintext_pair_have_none() -> None:
    plain = Security.plaintext()
    for settings, security in (
        (ServerSettings(relay_pairs=0), Security.sealed()),
        (ServerSettings(), plain),
    ):
        async with await serve(BOTH, 0, settings=settings) as server:
            over_4, over_6 = server.endpoints
            async with (
                Host(over_4, "host_a", "host_b", listen="127.0.0.1", security=security) as a,
                Host(over_6, "host_b", "host_a", listen="127.0.0.1", security=security) as b,
            ):
                for host in (a, b):
                    await host.notices.wait(note.AttemptFailed)
                told = [each.code for each in a.notices.of(note.RelayTold)]
                assert told == ([] if security is plain else [m.RelayCode.OFF])
                assert server.counters["relays-begun"] == 0


class Blocked(socket.socket):
    """A UDP socket behind a firewall that lets nothing out."""

    def sendto(self, data: Any, *_: Any) -> int:
        return len(data)


def blocked_udp(local: Endpoint, buffer: int) -> socket.socket:
    opened = open_udp(local, buffer)
    return Blocked(fileno=opened.detach())


@pytest.mark.parametrize("secured", [False, True], ids=["in clear", "TLS"])
async def test_a_host_whose_udp_is_blocked_meets_the_other_by_tcp(
    secured: bool, tmp_path: Path
) -> None:
    issued = Authority.new().issue("127.0.0.1")
    files = (
        issued.certificate_file(tmp_path / "server.crt"),
        issued.key_file(tmp_path / "server.key"),
    )
    server_tls = ServerTlsSettings(*files) if secured else None
    tls = ClientTlsSettings(fingerprint=issued.fingerprint) if secured else None
    with Service() as service, Program() as program:
        settings = ServerSettings(gather_within=1.5)
        async with await serve("127.0.0.1", 0, tls=server_tls, settings=settings) as server:
            async with (
                Host(
                    *(server.endpoint, "host_a", "host_b"),
                    listen="127.0.0.1",
                    platform=Platform(open_udp=blocked_udp),
                    tls=tls,
                ) as a,
                Host(
                    *(server.endpoint, "host_b", "host_a"), connect=[service.endpoint], tls=tls
                ) as b,
            ):
                assert (await a.connected()).method == "relay-tcp"
                assert (await b.connected()).method == "relay"
                for size in (0, 1, 1_400, 20_000):
                    assert await program.ask(b"x" * size, a.port) == b"x" * size
                not_direct = await a.notices.wait(note.NotDirect)
                assert not_direct.code == m.Verdict.UDP_BLOCKED
                await a.client.close()
                await b.notices.wait(note.PathLost)
            await eventually(lambda: not server.connections, "the connection to the relay has gone")
