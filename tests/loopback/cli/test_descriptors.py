"""Commands whose process has no file descriptor left: told as such, and over as soon as there is one."""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nat_traversal.wire import messages as m
from tests.forkserver import Forkserver
from tests.loopback.beforehand import limit_of_files
from tests.loopback.cli.words import SERVER, host_a, listening
from tests.loopback.command import Command
from tests.loopback.hosts import a_server
from tests.loopback.scripted import Wire, register
from tests.loopback.support import eventually, unused
from tests.loopback.warm import BEFOREHAND

NONE_LEFT = "this process has no file descriptor left: raise `ulimit -n`"

beginners = Forkserver(
    "nat_traversal.cli.main", "nat_traversal.cli.client_command", "tests.endings"
)
"""Forks that have read what a client reads before its event loop, and no more: each module costs a file."""
READS_LATER = "import sys; assert 'cryptography' not in sys.modules"


class Descriptors:
    """The limit of another process, set so that it may open just a few more files."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def sockets(self) -> int:
        """How many it has open."""
        found = 0
        for each in Path(f"/proc/{self._pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found += str(each.readlink()).startswith("socket:")
        return found

    def leave(self, count: int) -> None:
        """It may open `count` files more."""
        (first_refused,) = itertools.islice(self._free(), count, count + 1)
        _, hard = self._before
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, (first_refused, hard))

    def restore(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, self._before)

    def _free(self) -> Iterator[int]:
        taken = {int(each.name) for each in Path(f"/proc/{self._pid}/fd").iterdir()}
        return (number for number in itertools.count() if number not in taken)


async def test_client_without_descriptors_says_so_and_goes_on() -> None:
    async with a_server() as (server, _):
        words = ("--set", "reconnect-first=2s", "--listen", str(unused()))
        async with Command.run(*host_a(server.endpoint), *words) as client:
            await client.line("registered")
            files = Descriptors(client.process.pid)
            before = files.sockets()
            (connection,) = server.connections
            connection.abort()  # with it goes the client's UDP socket
            await client.line("server: ")
            await eventually(lambda: files.sockets() == before - 2, "both are closed")
            files.leave(0)
            line = await client.line(NONE_LEFT)
            assert line.startswith(f"server: cannot connect to {server.endpoint}")
            assert "trying again in 0.5 s" in line
            files.leave(1)
            assert (await client.line("no UDP socket")).startswith(f"no UDP socket: {NONE_LEFT}")
            files.restore()
            await client.line("seen from outside")
            assert not [line for line in client.told if "blocked" in line]
            assert await client.end(signal.SIGTERM) == 0


async def test_server_without_descriptors_says_so_once_and_takes_who_waits() -> None:
    async with Command.run(*SERVER, "--port", "0") as server:
        at = await listening(server)
        files = Descriptors(server.process.pid)
        files.leave(1)
        async with await Wire.to(at) as first, await Wire.to(at) as second:
            first.send(register("host_a", "host_b", key=b"a" * 32))
            await first.until(m.Registered)
            await server.line(f"no room for one more connection: {NONE_LEFT}")
            second.send(register("host_b", "host_c", key=b"b" * 32))
            files.restore()
            await second.until(m.Registered)
            await server.line("host_b has come")
        assert await server.end(signal.SIGTERM) == 0
        assert len([line for line in server.told if "no room" in line]) == 1


async def test_server_with_room_for_less_than_a_pair_does_not_start() -> None:
    async with Command.run(*SERVER, "--port", "0", before=limit_of_files(65)) as server:
        assert await server.end() == 2
        (line,) = server.told
        assert "this process may open 65 files, and a server needs 66 for one pair" in line


@pytest.mark.parametrize("files", range(7, 16))
def test_a_client_that_may_hardly_open_files_says_so_in_one_line(files: int) -> None:
    """Or runs: it needs more or fewer with each version of Python."""
    words = ("--server", str(unused()), "--id", "a", "-r", "b", "--listen", str(unused()), "--once")
    limited = f"{READS_LATER}; {limit_of_files(files)}"
    ended = beginners.run((*BEFOREHAND, limited, "traversal_client", *words), os.environ)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr, ended.stderr
    if ended.returncode == 2:
        assert ended.stderr.splitlines()[-1] == f"error: {NONE_LEFT}, or let it do less"
    else:
        assert ended.returncode == 3, ended.stderr
