"""A server under a service manager: a real process, with the manager's sockets played by the test."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import pytest

from nat_traversal.wire.endpoint import Endpoint
from tests.loopback.command import Command
from tests.loopback.hosts import Host
from tests.loopback.support import DEADLINE, unused

SERVER = ("traversal_server.py", "--json", "--host", "127.0.0.1", "--port", "0")
HAND_OVER = """
import fcntl, os, socket
sockets, ports = [], {}
for kind in os.environ["KINDS"].split():
    kind, _, host = kind.partition("@")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind])
    if family == socket.AF_INET6 and host != "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((host, ports.get(host, 0)))
    ports[host] = sock.getsockname()[1]
    sockets.append(fcntl.fcntl(sock, fcntl.F_DUPFD, 100))
    sock.detach()
for at, sock in enumerate(sockets, 3):
    os.dup2(sock, at, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
"""
"""Binds sockets of these kinds, and puts them where systemd does."""


class Notified:
    """What a service says to its manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.said: list[str] = []

    async def until(self, *wanted: str) -> None:
        """Read on until each of these lines has come, in this order."""
        async with asyncio.timeout(DEADLINE):
            for line in wanted:
                while line not in self.said:
                    data = await asyncio.get_running_loop().sock_recv(self._sock, 4096)
                    self.said += data.decode().splitlines()
                del self.said[: self.said.index(line) + 1]


@contextmanager
def manager(at: str) -> Iterator[Notified]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(at)
        yield Notified(sock)


@pytest.mark.parametrize("abstract", [False, True])
async def test_the_manager_hears_each_change_of_a_service(
    tmp_path: Path, *, abstract: bool
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("")
    path = str(tmp_path / "notify")
    with manager(f"\0{path}" if abstract else path) as notified:
        where = f"@{path}" if abstract else path
        words = ("python3", *SERVER, "--config", str(file))
        async with Command.run(*words, "--set=status-every=200ms", NOTIFY_SOCKET=where) as server:
            at = await server.event("listening")
            await notified.until("READY=1", "STATUS=0 hosts on 0 connections, 0 attempts")
            server.process.send_signal(signal.SIGHUP)
            await notified.until("RELOADING=1", "READY=1")
            address, _, port = at["endpoint"].rpartition(":")
            async with Host(Endpoint(address, int(port)), "host_a", "host_b", listen="127.0.0.1"):
                await notified.until("STATUS=1 hosts on 1 connections, 0 attempts")
            assert await server.end(signal.SIGTERM) == 0
            await notified.until("STOPPING=1")
            assert not [line for line in notified.said if line.startswith("WATCHDOG")]


async def test_the_watchdog_hears_a_loop_that_runs_and_not_one_that_is_stopped(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "notify")
    with manager(path) as notified:
        words = ("python3", *SERVER)
        async with Command.run(*words, NOTIFY_SOCKET=path, WATCHDOG_USEC="50000") as server:
            await notified.until("READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1")
            assert await server.end(signal.SIGTERM) == 0


async def test_a_server_without_its_address_tells_what_it_waits_for(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with manager(path) as notified:
        words = ("python3", "traversal_server.py", "--host", "192.0.2.77")
        async with Command.run(*words, NOTIFY_SOCKET=path) as server:
            missing = "cannot use TCP 192.0.2.77:6545: this host has no such address"
            await notified.until(f"STATUS={missing}")
            assert await server.end(signal.SIGTERM) == 0


def handed_over(kinds: str) -> AbstractAsyncContextManager[Command]:
    return Command.run("python3", "traversal_server.py", "--json", before=HAND_OVER, KINDS=kinds)


async def test_a_server_uses_the_sockets_that_its_manager_has_opened() -> None:
    kinds = "tcp@127.0.0.1 udp@127.0.0.1 udp@::1 tcp@::1"
    async with handed_over(kinds) as server:
        for expected in ("127.0.0.1", "[::1]"):
            address, _, port = (await server.event("listening"))["endpoint"].rpartition(":")
            assert address == expected
            at = Endpoint(address.strip("[]"), int(port))
            async with (
                Host(at, "host_a", "host_b", listen="127.0.0.1") as a,
                Host(at, "host_b", "host_a", listen="127.0.0.1") as b,
            ):
                await a.connected()
                await b.connected()
        assert await server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ("tcp@127.0.0.1", "lack TCP or UDP at 127."),
        ("udp@127.0.0.1", "lack TCP or UDP at 127."),
        ("tcp@:: udp@::", "a socket handed over speaks IPv4 and IPv6 at once: the unit needs"),
    ],
)
async def test_sockets_that_a_server_cannot_use_are_wrong_usage(kinds: str, said: str) -> None:
    async with handed_over(kinds) as server:
        assert said in await server.line("error: ")
        assert await server.end() == 2


async def test_sockets_of_another_process_are_left_alone() -> None:
    words = ("python3", *SERVER)
    async with Command.run(*words, LISTEN_FDS="2", LISTEN_PID="1") as server:
        await server.event("listening")
        assert await server.end(signal.SIGTERM) == 0


async def test_the_manager_hears_each_change_of_a_client_with_a_file(tmp_path: Path) -> None:
    file, at = tmp_path / "hub.toml", unused()
    path = str(tmp_path / "notify")
    file.write_text(f'server = "{at}"\nid = "hub"\n[[peer]]\nid = "anna"\nlisten = "{unused()}"\n')
    words = ("python3", "traversal_client.py", "--config", str(file))
    with manager(path) as notified:
        async with Command.run(
            *words, NOTIFY_SOCKET=path, WATCHDOG_USEC="50000", XDG_RUNTIME_DIR=str(tmp_path)
        ) as client:
            status = "STATUS=1 peers: 0 direct, 0 relayed, 1 without a path"
            await notified.until("READY=1", status, "WATCHDOG=1", "WATCHDOG=1")
            client.process.send_signal(signal.SIGHUP)
            await notified.until("RELOADING=1", "READY=1")
            assert await client.end(signal.SIGTERM) == 0
            await notified.until("STOPPING=1")
