"""Sockets that cannot be opened, and datagrams that cannot leave: told as such, and tried again."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from nat_traversal import ClientSettings, Endpoint
from nat_traversal.aio import accepting
from nat_traversal.aio.packet_io import bind_problem, open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import notices as note
from tests.loopback.aio.clients import DISCARD
from tests.loopback.hosts import Host, a_server
from tests.loopback.scripted import Wire, register
from tests.loopback.support import eventually

QUICK = ClientSettings(
    socket_again=0.02, announce_first=0.02, announce_most=0.02, udp_silence=0.1, retry_first=0.05
)


class Refused(socket.socket):
    """Of a host whose firewall lets nothing out."""

    def sendto(self, *_: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")


async def test_a_bind_that_fails_is_told_and_tried_until_it_works() -> None:
    failures = 5

    def sometimes(local: Endpoint, buffer: int) -> socket.socket:
        nonlocal failures
        if not failures:
            return open_udp(local, buffer)
        failures -= 1
        error = OSError(errno.ENOBUFS, "No buffer space available")
        raise bind_problem("UDP", local.address, local.port, error) from error

    async with a_server() as (server, _):
        where = (server.endpoint, "host_a", "host_b")
        platform = replace(Platform(), open_udp=sometimes)
        async with Host(*where, connect=DISCARD, settings=QUICK, platform=platform) as a:
            told = await a.notices.wait(note.SocketLacking)
            assert told.reason == "cannot use UDP 0.0.0.0:0: No buffer space available"
            await a.notices.wait(note.MappingLearned)
            assert len(a.notices.of(note.SocketLacking)) == 1
            async with Host(server.endpoint, "host_b", "host_a", connect=DISCARD) as b:
                await a.connected()
                await b.connected()


async def test_a_firewall_of_the_host_itself_is_not_taken_for_the_network() -> None:
    def refused(local: Endpoint, buffer: int) -> socket.socket:
        sock = Refused(fileno=open_udp(local, buffer).detach())
        sock.setblocking(False)
        return sock

    async with a_server() as (server, _):
        where = (server.endpoint, "host_a", "host_b")
        platform = replace(Platform(), open_udp=refused)
        async with Host(*where, connect=DISCARD, settings=QUICK, platform=platform) as a:
            told = await a.notices.wait(note.AnnounceUnanswered)
            assert told.reason == "Operation not permitted"
            assert a.counters["unsendable"] > 1


async def test_a_server_behind_a_proxy_says_so() -> None:
    async with a_server() as (server, notices), await Wire.to(server.endpoint) as wire:
        wire.send(replace(register("host_a", "host_b"), via="192.0.2.2"))
        assert await notices.wait(note.ClientsHidden) == note.ClientsHidden(
            "127.0.0.1", "192.0.2.2"
        )


class Full(socket.socket):
    """A listener of a process that has no room, as many times as the test says."""

    times = 0
    failed = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.times:
            self.times -= 1
            self.failed += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_want_of_room_for_connections_is_told_once_until_all_were_taken() -> None:
    told: list[OSError] = []
    taken: list[asyncio.Protocol] = []
    ended = [0]

    class Ends(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            ended[0] += 1

    def accepted(_: accepting.Address) -> asyncio.Protocol:
        taken.append(Ends())
        return taken[-1]

    with Full(socket.AF_INET, socket.SOCK_STREAM) as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        acceptor = accepting.Acceptor(
            [listener],
            backlog=8,
            burst=8,
            again=0.01,
            admit=lambda _: None,
            accepted=accepted,
            out_of_files=told.append,
        )
        stack.callback(acceptor.close)
        for shortage in (1, 2):
            listener.times = 4
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            client.connect(listener.getsockname())
            await eventually(lambda: len(taken) == shortage, "it is taken")  # noqa: B023
            assert listener.failed == 4 * shortage
            assert len(told) == shortage
            client.close()
            await eventually(lambda: ended[0] == shortage, "it ends")  # noqa: B023
