"""Commands of `nat_traversal` that start at once (`tests.forkserver`), one process that forks for each worker of the tests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping

from tests.forkserver import Forkserver

SCRIPTS = ("traversal_client.py", "traversal_server.py")
_server = Forkserver(
    "nat_traversal.cli.start",
    "nat_traversal.cli.main",
    "nat_traversal.cli.client_command",
    "nat_traversal.cli.server_command",
    "nat_traversal.crypto.dh",
    "nat_traversal.crypto.seal",
)


class Process:
    """A command that was started warm; then what `asyncio.subprocess` has for one."""

    def __init__(
        self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader
    ) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None

    @classmethod
    async def start(cls, script: str, *words: str, environment: Mapping[str, str]) -> Process:
        """Run one of `SCRIPTS` in the checkout, in that environment."""
        started = _server.start([script.removesuffix(".py"), *words], environment)
        return cls(started.pid, await _reader(started.stdout), await _reader(started.stderr))

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def communicate(self) -> tuple[bytes, bytes]:
        """All that it still says, until it has ended."""
        said = await asyncio.gather(self.stdout.read(), self.stderr.read())
        if self.returncode is None:
            ended = os.pidfd_open(self.pid)
            waited = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(ended, waited.set)
            try:
                await waited.wait()
            finally:
                loop.remove_reader(ended)
                os.close(ended)
            self.returncode = _server.wait(self.pid)
        return said[0], said[1]


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb")
    )
    return reader
