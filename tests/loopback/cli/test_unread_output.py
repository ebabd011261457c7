"""A pipe that nobody reads: the commands go on, and end when they are asked to."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Iterator

import pytest

from nat_traversal import Endpoint
from tests.loopback.beforehand import stdout_is
from tests.loopback.command import Command
from tests.loopback.scripted import Wire, register
from tests.loopback.support import unused

SERVER = ("python3", "traversal_server.py", "--host", "127.0.0.1", "--port", "0")


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes not one octet more."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    yield writing
    os.close(reading)
    os.close(writing)


async def test_server_whose_events_nobody_reads_serves_and_ends_at_sigterm(full_pipe: int) -> None:
    async with Command.run(*SERVER, "--json", before=stdout_is(full_pipe)) as command:
        said = await command.line("listening on")
        found = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert found
        for number in range(50):
            async with await Wire.to(Endpoint("127.0.0.1", int(found[1]))) as wire:
                wire.send(register(f"host{number}", "host_b"))
                await wire.next()
        assert await command.end(signal.SIGTERM) == 0


async def test_client_whose_events_nobody_reads_ends_at_sigterm(full_pipe: int) -> None:
    client = ("python3", "traversal_client.py", "--server", "127.0.0.1:9", "-r", "b", "--json")
    words = (*client, "--listen", str(unused()))
    async with Command.run(*words, before=stdout_is(full_pipe)) as command:
        await command.line("cannot connect")
        assert await command.end(signal.SIGTERM) == 0
