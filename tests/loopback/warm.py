"""Commands of `nat_traversal` that start at once (`tests.forkserver`), one process that forks for each worker of the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.forkserver import Forkserver

SCRIPTS = ("traversal_client.py", "traversal_server.py")
BEFOREHAND = ("tests.loopback.beforehand",)
_COMMAND = "nat_traversal"
_server = Forkserver(
    "cryptography.hazmat.backends.openssl.backend",
    "encodings.idna",
    "nat_traversal.aio.direct_loop",
    "nat_traversal.cli.client_command",
    "nat_traversal.cli.config_file",
    "nat_traversal.cli.console_log",
    "nat_traversal.cli.main",
    "nat_traversal.cli.make_keys",
    "nat_traversal.cli.pairing_command",
    "nat_traversal.cli.peers.config_check",
    "nat_traversal.cli.ping_command",
    "nat_traversal.cli.reload_command",
    "nat_traversal.cli.server_command",
    "nat_traversal.cli.start",
    "nat_traversal.cli.status_command",
    "nat_traversal.crypto.dh",
    "nat_traversal.crypto.seal",
    "tests.endings",
)


def module_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """The module that a command of this package is, and its arguments; None: it is another program."""
    match words:
        case ("python3", script, *rest) if script in SCRIPTS:
            return (script.removesuffix(".py"), *rest)
        case ("nat-traversal", *rest):
            return (_COMMAND, *rest)
        case (python, "-m", module, *rest) if module == _COMMAND:
            return (_COMMAND, *rest) if python in ("python3", sys.executable) else None
    return None


def run(*words: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """``nat-traversal WORDS``, to its end. `before`: what the process does first."""
    first = (*BEFOREHAND, before) if before else ()
    return _server.run((*first, _COMMAND, *words), {**os.environ, **environment})


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
    async def start(
        cls, *words: str, environment: Mapping[str, str], typed: str | None = None
    ) -> Process:
        """Run ``python -m WORDS`` in the checkout, in that environment. `typed`, which must be short, is on its stdin."""
        started = _server.start(words, environment, typed=typed)
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
