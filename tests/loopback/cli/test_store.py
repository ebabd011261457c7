"""Three servers that share a real Redis, with clients at each: a server and then the store are killed and come back."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import notices as note
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Relaying
from tests.loopback.beforehand import path_begins_with
from tests.loopback.command import Command
from tests.loopback.hosts import Host
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

SERVER = ("python3", "traversal_server.py", "--json")
SHORT_LEASE = ("--set=store-lease=1500ms", "--set=store-renew=300ms")
"""Servers that share a store wait for the end of the leases that it may have lost: at its begin too."""


@asynccontextmanager
async def redis(at: Endpoint, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Redis that keeps nothing on disk; `more`: options of its own."""
    program = shutil.which("redis-server")
    assert program is not None, "make setup installs it"
    options = ("--save", "", "--appendonly", "no", "--bind", at.address, "--port", str(at.port))
    process = await asyncio.create_subprocess_exec(
        program, *options, *more, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def server(store: Endpoint, at: Endpoint) -> AsyncIterator[Command]:
    where = ("--host", at.address, "--port", str(at.port), "--store", f"redis://{store}")
    async with Command.run(*SERVER, *where, *SHORT_LEASE) as command:
        await command.event("listening")
        yield command


async def a_pair_connects(first: Endpoint, second: Endpoint, *ids: str) -> None:
    a, b = ids
    async with (
        Host(first, a, b, listen="127.0.0.1") as one,
        Host(second, b, a, listen="127.0.0.1") as other,
    ):
        await one.connected()
        await other.connected()


@pytest.mark.long
async def test_peers_at_different_servers_find_each_other_whatever_is_killed() -> None:
    store = unused()
    places = [unused() for _ in range(3)]
    async with (
        redis(store) as first_store,
        server(store, places[0]) as s0,
        server(store, places[1]) as s1,
        server(store, places[2]) as s2,
        Host(places[0], "stay_a", "stay_b", listen="127.0.0.1") as stay_a,
        Host(places[1], "stay_b", "stay_a", listen="127.0.0.1") as stay_b,
    ):
        for each in (s0, s1, s2):
            await each.event("store-reached")
        await stay_a.connected()
        await stay_b.connected()
        await a_pair_connects(places[1], places[2], "host_a", "host_b")
        await a_pair_connects(places[2], places[1], "host_a", "host_b")

        s2.process.kill()
        await a_pair_connects(places[0], places[1], "host_a", "host_b")
        async with server(store, places[2]) as again:
            await again.event("store-reached")
            await a_pair_connects(places[2], places[0], "host_a", "host_b")

            first_store.kill()
            await first_store.wait()
            await s0.event("store-lost")
            async with redis(store):
                await s0.event("store-reached")
                await a_pair_connects(places[2], places[0], "host_c", "host_d")
                for host in (stay_a, stay_b):
                    assert not host.notices.of(note.PathLost)
                    assert not host.notices.of(note.ServerLost)
                for each in (s0, s1, again):
                    assert await each.end(signal.SIGTERM) == 0


class NoHello(socket.socket):
    """Lets all out but HELLOs: so no direct path stands."""

    def sendto(self, data: Any, *where: Any) -> int:
        return len(data) if bytes(data).startswith(b"HELLO") else super().sendto(data, *where)


def no_hello(local: Endpoint, buffer: int) -> socket.socket:
    return NoHello(fileno=open_udp(local, buffer).detach())


async def test_a_relay_at_another_server_carries_both_ways() -> None:
    """Each host learns of it from its own server; the datagrams go to the one that manages the pair."""
    store, places = unused(), [unused(), unused()]
    mute, early = Platform(open_udp=no_hello), Relaying.EARLY
    async with redis(store), server(store, places[0]) as s0, server(store, places[1]) as s1:
        for each in (s0, s1):
            await each.event("store-reached")
        with Service() as service, Program() as program:
            async with (
                Host(
                    *(places[0], "host_a", "host_b"),
                    listen="127.0.0.1",
                    relaying=early,
                    platform=mute,
                ) as a,
                Host(
                    *(places[1], "host_b", "host_a"),
                    connect=[service.endpoint],
                    relaying=early,
                    platform=mute,
                ) as b,
            ):
                for host in (a, b):
                    path = await host.connected()
                    assert (path.method, path.remote) == ("relay", places[0])
                for size in (1, 1_400):
                    assert await program.ask(b"x" * size, a.port) == b"x" * size
        for each in (s0, s1):
            assert await each.end(signal.SIGTERM) == 0


async def test_without_its_store_a_server_says_so_and_sends_clients_away() -> None:
    at = unused()
    async with (
        server(unused(), at) as alone,
        Host(at, "host_a", "host_b", listen="127.0.0.1") as host,
    ):
        await alone.event("store-lost")
        lost = await host.notices.wait(note.ServerLost)
        assert lost.reason == "it ends, and asks this host to come back"
        assert await alone.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    "url", ["http://:hunter2@x", "redis://:hunter2@[::1", "redis://:hunter2@x:y"]
)
async def test_a_url_that_is_none_is_wrong_usage_and_its_password_stays_unsaid(url: str) -> None:
    at = unused()
    words = (*SERVER, "--verbose", "--host", at.address, "--port", str(at.port), "--store", url)
    async with Command.run(*words) as command:
        assert "write redis://HOST[:PORT]" in await command.line("error: ")
        assert await command.end() == 2
    assert "hunter2" not in "".join(command.told)


@pytest.mark.parametrize("version", ["4.3.4", "4.6.0"])
async def test_a_package_that_is_too_old_is_told_with_the_way_out(
    tmp_path: Path, version: str
) -> None:
    # as far as these releases go: 4.6 has all names
    (tmp_path / "redis" / "asyncio").mkdir(parents=True)
    (tmp_path / "redis" / "__init__.py").write_text(f'__version__ = "{version}"')
    (tmp_path / "redis" / "exceptions.py").write_text("class RedisError(Exception): pass")
    names = "AbstractConnection = ConnectionPool = None" if version == "4.6.0" else ""
    (tmp_path / "redis" / "asyncio" / "connection.py").write_text(names)
    at = unused()
    words = (*SERVER, "--host", at.address, "--port", str(at.port), "--store", "redis://x")
    async with Command.run(*words, before=path_begins_with(tmp_path)) as command:
        assert await command.line("") == (
            "error: --store takes the package redis, 5.0 or newer: "
            "pip install 'nat-traversal[redis]'"
        )
        assert await command.end() == 2
