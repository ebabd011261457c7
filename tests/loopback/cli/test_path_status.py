"""A client says how its path is: at SIGUSR1, at its end, and in Python."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import nat_traversal
from nat_traversal import ClientSettings, Endpoint, ServerSettings, serve
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.client.path_status import PathKind
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Service
from tests.loopback.support import DEADLINE


async def test_a_command_says_it_at_sigusr1_and_at_its_end() -> None:
    with Service() as service:
        async with (
            a_server() as (server, _),
            Command.run(
                *(*CLIENT, "--server", str(server.endpoint), "--id", "host_a", "-r", "host_b"),
                *("--connect", str(service.endpoint), "--json"),
            ) as a,
        ):
            await a.event("registered-at-server")
            a.process.send_signal(signal.SIGUSR1)
            told = await a.event("path-status")
            assert (told["path"], told["method"]) == ("none", None)
            await a.line("there is no path to host_b: host_b is not there yet")
            async with Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b:
                await b.connected()
                await a.event("path-established")
                a.process.send_signal(signal.SIGUSR1)
                told = await a.event("path-status")
                assert (told["path"], told["method"]) == ("direct", "ordered-hello")
                await a.line("datagrams to host_b have gone directly to 127.0.0.1:")
                assert await a.end(signal.SIGTERM) == 0
            assert [each["event"] for each in a.events][-2:] == ["path-status", "stopped"]


async def test_a_connection_in_python_says_it() -> None:
    async with a_server() as (server, _), asyncio.timeout(DEADLINE):
        at = str(server.endpoint)
        async with Host(server.endpoint, "host_b", "host_a") as b:
            async with nat_traversal.connect(at, local_id="host_a", remote_id="host_b") as a:
                await b.connected()
                status = a.status()
                assert (status.path, status.remote) == (PathKind.DIRECT, a.remote)
            assert a.status().path is PathKind.NONE


class Deaf(socket.socket):
    """No HELLO reaches it."""

    def recvfrom(self, *args: Any) -> tuple[bytes, Any]:
        octets, source = super().recvfrom(*args)
        if octets.startswith(b"HELLO"):
            raise OSError("lost on the way")
        return octets, source


def deaf_udp(local: Endpoint, buffer: int) -> socket.socket:
    sock = open_udp(local, buffer)
    deaf = Deaf(sock.family, sock.type, fileno=sock.detach())
    deaf.setblocking(False)
    return deaf


async def test_a_relayed_path_says_why_once_both_sides_know_their_nats() -> None:
    """Both ask the server, and tell each other through the relay."""
    options: dict[str, Any] = {
        "settings": ClientSettings(explain_after=0.01),
        "relaying": m.Relaying.EARLY,
        "platform": Platform(open_udp=deaf_udp),
    }
    generous = ServerSettings(stun_per_source=1000.0)
    server = await serve("127.0.0.1", 0, alternate=Endpoint("127.0.0.2", 0), settings=generous)
    async with (
        server,
        Host(server.endpoint, "host_a", "host_b", **options) as a,
        Host(server.endpoint, "host_b", "host_a", **options) as b,
    ):
        for each in (a, b):
            why = await each.notices.wait(note.WhyRelayed)
            assert why.reason.startswith("neither NAT forbids a direct path")
            status = each.client.status()
            assert (status.path, status.reason) == (PathKind.RELAYED, why.reason)
