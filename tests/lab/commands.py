"""The lab's commands, and runs of pytest, that start warm: `tests.forkserver`, with sandboxes that are forks too.

Four fifths of what they cost is Python's start and its imports, once for the command and once for its sandbox.
Tests of the start itself, of Ctrl-C, and of whatever a shell pipes run cold ones.
"""

from __future__ import annotations

import os
import subprocess
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
    return _server.run(words, os.environ, directory, typed, timeout)
