"""A client says how its path is: at SIGUSR1, at its end, and in Python."""

from __future__ import annotations

import asyncio
import signal

import nat_traversal
from nat_traversal.client.path_status import PathKind
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
