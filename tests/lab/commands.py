"""The lab's commands, and runs of pytest, that start warm: `tests.forkserver`, with sandboxes that are forks too.

Four fifths of what they cost is Python's start and its imports, once for the command and once for its sandbox.
Tests of the start itself, of Ctrl-C, and of whatever a shell pipes run cold ones.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from pathlib import Path

from tests import ROOT
from tests.forkserver import Forkserver
from tests.lab import nursery

_server = Forkserver(begin=nursery.programs)


def lab(
    *words: str | Path,
    directory: Path = ROOT,
    typed: str | None = None,
    timeout: float = 50,
) -> subprocess.CompletedProcess[str]:
    """``python -m lab WORDS``, to its end, as `run`."""
    return run("lab", *words, directory=directory, typed=typed, timeout=timeout)


def run(
    *words: str | Path,
    directory: Path,
    typed: str | None = None,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """``python -m WORDS``, to its end, as `subprocess.run` tells it. `typed` is on its stdin.

    Raises `subprocess.TimeoutExpired` after `timeout` seconds, and once it was killed.
    """
    started = _server.start([*map(str, words)], os.environ, directory, typed)
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
    status = _server.wait(started.pid)
    if late:
        raise subprocess.TimeoutExpired(words, timeout, out, err)
    return subprocess.CompletedProcess(words, status, out, err)
