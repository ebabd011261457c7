"""One process for all workers of the lab tests, which has read the lab's modules: all that starts warm is a fork of it."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, Self

from natlab.matrix.conversation import PRELOADED
from natlab.matrix.running import IN_THE_SANDBOX
from natlab.report import html
from natlab.sandbox import zygote
from natlab.sandbox.fork import forked
from natlab.sandbox.sandbox import Begun
from tests import ROOT, endings, forkserver
from tests.lab import forked as namespaces

MODULES = (
    "pytest",
    "natlab.cli.main",
    "natlab.cli.compare",
    "natlab.cli.conformance",
    "natlab.cli.doctor",
    "natlab.cli.matrix",
    "natlab.cli.pair",
    "natlab.cli.rules",
    "natlab.cli.run",
    "natlab.cli.shell",
    "natlab.cli.topology",
    "natlab.probe.conformance",
    "natlab.probe.nat64",
    "natlab.testbed.bed",
    "natlab.testbed.environment",
    "natlab.testbed.marks",
    "natlab.testbed.worker",
    "natlab.testbed.conduct",
    "natlab.testbed.judged",
    "natlab.faults.inject",
    "natlab.network.loading",
    *(
        f"natlab.topologies.{name}"
        for name in (
            "double_nat",
            "dual_stack",
            "nat64",
            "shared_cgn",
            "shared_nat",
            "star",
            "two_nats",
        )
    ),
    *IN_THE_SANDBOX,
    *PRELOADED,
    "aioice",
    *(f"encodings.{name}" for name in ("ascii", "unicode_escape", "utf_8_sig")),
    "nat_traversal.aio.checking",
    "nat_traversal.aio.gateway",
    "nat_traversal.aio.tcp_programs",
    "nat_traversal.aio.turn",
    "nat_traversal.cli.check_command",
    "rich._emoji_replace",
    "scapy.automaton",
)
_BYTES = 1 << 17
_FILES = 5
"""So many come with what is asked for, at most: stdout and stderr of whoever asks, and three streams of a command."""
_DEADLINE = 120.0
"""Seconds for its first answer; it has the modules to read before."""
_BREED = "from tests.lab import nursery; nursery.breed()"
_at: list[str] = []


def begin() -> str:
    """Start it, unless it has been: its address. It ends with this process."""
    if not _at:
        name = f"nat-lab-tests-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(f"\0{name}")
            listening.listen(128)
            process = subprocess.Popen(
                [sys.executable, "-c", _BREED, str(listening.fileno())],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                pass_fds=[listening.fileno()],
            )
        _at.append(name)

        def end() -> None:
            process.communicate()

        atexit.register(end)
    return _at[0]


def use(address: str) -> None:
    """Ask the one at that address from now on, which another process has begun."""
    _at[:] = [address]


def programs() -> socket.socket:
    """Orders for a process that starts programs, as `tests.forkserver.answer` takes them."""
    asked = _ask()
    asked.settimeout(_DEADLINE)
    atexit.register(asked.close)
    return asked


def sandbox() -> Begun:
    """What `natlab.sandbox.sandbox.Sandbox.begin` returns, of a sandbox that has read the modules."""
    ours, theirs = Pipe()
    with theirs, _ask(theirs.fileno()) as asked:
        asked.settimeout(_DEADLINE)
        return ours, _Foreign(int(asked.recv(_BYTES)))


def command(words: Sequence[str], streams: Sequence[int | None]) -> socket.socket:
    """Begin `tests.endings.run`: where its exit status comes, as text."""
    files = [file for file in streams if file is not None]
    asked = _ask(*files, command=[list(words), [file is not None for file in streams]])
    asked.settimeout(_DEADLINE)
    return asked


def _ask(*files: int, command: object = None) -> socket.socket:
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked.connect(f"\0{begin()}")
    here = [str(Path.cwd()), sys.path, dict(os.environ), command]
    socket.send_fds(asked, [json.dumps(here).encode()], [1, 2, *files])
    return asked


class _Foreign:
    """What `subprocess` has for a process, of one that another has started."""

    stderr: IO[bytes] | None = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.pidfd_open(pid)
        self._ended = False

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended:
            ready, _, _ = select.select([self._file], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("a sandbox", timeout or 0.0)
            self._ended = True
            os.close(self._file)
        return 0  # nobody but its parent is told

    def kill(self) -> None:
        if not self._ended:
            signal.pidfd_send_signal(self._file, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.wait()


def breed() -> None:
    """The process itself, until its stdin ends: a fork for each that asks."""
    namespaces.install()
    html.page()
    zygote.preload(*MODULES)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            asked, _ = listening.accept()
            with asked:
                forked(partial(_serve, listening, asked))


def _serve(listening: socket.socket, asked: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listening.close()
    words, files, *_ = socket.recv_fds(asked, _BYTES, _FILES)
    directory, path, environment, command = json.loads(words)
    os.chdir(directory)
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)
    empty = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((empty, *files[:2])):
        os.dup2(file, number)
        os.close(file)
    if command is not None:
        others = iter(files[2:])
        streams = [next(others) if is_open else None for is_open in command[1]]
        status = endings.run(command[0], streams)
        asked.send(str(status).encode())
        return 0
    if files[2:]:
        asked.send(str(os.getpid()).encode())
        asked.close()
        return namespaces.outside(files[2])
    with asked:
        forkserver.answer(asked)
    return 0
