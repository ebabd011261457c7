"""Python programs that start at once, for tests: forks of a process that has read their modules.

Two thirds of the time of most tests of a command was Python's start and its imports. A program that
is started so is a process of its own all the same, with its own arguments, environment, directory and streams.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from natlab.sandbox import zygote
from tests import ROOT

_ORDER_BYTES = 1 << 16
_DEADLINE = 120.0
"""Seconds for its answer; it has the modules to read before the first."""


@dataclass(frozen=True, slots=True)
class Started:
    """A program that runs, and the files to read its words from."""

    pid: int
    stdout: int
    stderr: int


class Forkserver:
    """The process that forks; started when it is first asked, it ends with this one.

    It reads `modules`; or `begin` returns the socket for orders to one that has read them.
    """

    def __init__(self, *modules: str, begin: Callable[[], socket.socket] | None = None) -> None:
        self._modules = modules
        self._begin = begin or self._start_one
        self._orders: socket.socket | None = None

    def start(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        directory: Path = ROOT,
        typed: str | None = None,
    ) -> Started:
        """Run ``python -m WORDS`` in that environment and directory. `typed`, which must be short, is on its stdin."""
        order = [list(words), dict(environment), str(directory), typed]
        (pid,), (stdout, stderr) = self._ask(order)
        return Started(pid, stdout, stderr)

    def wait(self, pid: int) -> int:
        """Its exit status, negative if a signal ended it. Only once."""
        ((status,), _) = self._ask(pid)
        return status

    def run(
        self,
        words: Sequence[str | Path],
        environment: Mapping[str, str],
        directory: Path = ROOT,
        typed: str | None = None,
        timeout: float = 50,
    ) -> subprocess.CompletedProcess[str]:
        """What `start` starts, to its end, as `subprocess.run` tells it.

        Raises `subprocess.TimeoutExpired` after `timeout` seconds, and once it was killed.
        """
        started = self.start([*map(str, words)], environment, directory, typed)
        texts = {started.stdout: bytearray(), started.stderr: bytearray()}
        deadline, late = time.monotonic() + timeout, False
        with selectors.DefaultSelector() as selector:
            for file in texts:
                selector.register(file, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(None if late else max(deadline - time.monotonic(), 0.0))
                if not ready:
                    late = True
                    os.kill(started.pid, signal.SIGKILL)
                for key, _ in ready:
                    octets = os.read(key.fd, 1 << 16)
                    texts[key.fd] += octets
                    if not octets:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        out, err = (text.decode() for text in texts.values())
        status = self.wait(started.pid)
        if late:
            raise subprocess.TimeoutExpired(words, timeout, out, err)
        return subprocess.CompletedProcess(words, status, out, err)

    def _ask(self, order: object) -> tuple[list[int], list[int]]:
        orders = self._orders or self._begin()
        self._orders = None  # one that gives no answer in time is asked no more
        orders.send(json.dumps(order).encode())
        answer, files, *_ = socket.recv_fds(orders, _ORDER_BYTES, 2)
        self._orders = orders
        return json.loads(answer), files

    def _start_one(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_DEADLINE)
        told = json.dumps([theirs.fileno(), self._modules])
        process = subprocess.Popen(
            [sys.executable, "-c", "from tests import forkserver; forkserver.serve()", told],
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


def serve() -> None:
    """The process that forks."""
    file, modules = json.loads(sys.argv[1])
    zygote.preload(*modules)
    with socket.socket(fileno=file) as orders:
        answer(orders)


def answer(orders: socket.socket) -> None:
    """A program for each order, the exit status for a pid whose process has ended; until the orders end."""
    running: dict[int, zygote.Prepared] = {}
    while order := orders.recv(_ORDER_BYTES):
        match json.loads(order):
            case int(pid):
                orders.send(json.dumps([running.pop(pid).wait()]).encode())
            case words, environment, directory, typed:
                os.environ.clear()
                os.environ.update(environment)
                os.chdir(directory)
                argv = [sys.executable, "-m", *words]
                fresh = zygote.Prepared().become(argv, None, {}, interactive=typed is not None)
                running[fresh.pid] = fresh
                if fresh.stdin is not None:
                    with fresh.stdin as stdin:
                        stdin.write(typed.encode())
                assert fresh.stdout is not None
                assert fresh.stderr is not None
                with fresh.stdout as out, fresh.stderr as err:
                    told = json.dumps([fresh.pid]).encode()
                    socket.send_fds(orders, [told], [out.fileno(), err.fileno()])
    for each in running.values():
        each.send_signal(signal.SIGKILL)
        each.wait()
