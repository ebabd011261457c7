"""Commands that start at once: forks of a process that has read the modules, one for each worker of the tests.

Two thirds of the time of most tests of a command was Python's start and its imports. A command that
is started so is a process of its own all the same, with its own arguments, environment and streams.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from natlab.sandbox import zygote
from tests import ROOT
from tests.loopback.support import DEADLINE

SCRIPTS = ("traversal_client.py", "traversal_server.py")
_MODULES = (
    "nat_traversal.cli.start",
    "nat_traversal.cli.main",
    "nat_traversal.cli.client_command",
    "nat_traversal.cli.server_command",
    "nat_traversal.crypto.dh",
    "nat_traversal.crypto.seal",
)
_ORDER_BYTES = 1 << 16


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
        (pid,), files = _ask([["-m", script.removesuffix(".py"), *words], environment])
        return cls(pid, *[await _reader(file) for file in files])

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
            ((self.returncode,), _) = _ask(self.pid)
        return said[0], said[1]


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb")
    )
    return reader


def _ask(order: object) -> tuple[list[int], list[int]]:
    orders = _server()
    orders.send(json.dumps(order).encode())
    answer, files, *_ = socket.recv_fds(orders, _ORDER_BYTES, 2)
    return json.loads(answer), files


@cache
def _server() -> socket.socket:
    """The connection to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(DEADLINE)
    code = f"from tests.loopback import warm; warm.serve({theirs.fileno()})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(file: int) -> None:
    """The process that forks: a command for each order, the exit status for a pid whose process has ended."""
    zygote.preload(*_MODULES)
    running: dict[int, zygote.Prepared] = {}
    with socket.socket(fileno=file) as orders:
        while order := orders.recv(_ORDER_BYTES):
            match json.loads(order):
                case int(pid):
                    orders.send(json.dumps([running.pop(pid).wait()]).encode())
                case words, environment:
                    os.environ.clear()
                    os.environ.update(environment)
                    fresh = zygote.Prepared().become([sys.executable, *words], None, {})
                    running[fresh.pid] = fresh
                    assert fresh.stdout is not None
                    assert fresh.stderr is not None
                    with fresh.stdout as out, fresh.stderr as err:
                        answer = json.dumps([fresh.pid]).encode()
                        socket.send_fds(orders, [answer], [out.fileno(), err.fileno()])
    for each in running.values():
        each.send_signal(signal.SIGKILL)
        each.wait()
