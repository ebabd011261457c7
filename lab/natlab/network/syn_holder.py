"""The start and the end of the process that answers SYNs on a NAT after six seconds: `natlab.network.syn_silence`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from natlab.errors import NetworkError
from natlab.sandbox.netns import in_namespace

_SCRIPT = Path(__file__).with_name("syn_silence.py")
_READY = "ready\n"


class SynHolder:
    """Runs in the namespace of process `pid` from its making until `end`. Raises `NetworkError` if it does not start."""

    def __init__(self, pid: int, group: int) -> None:
        # The file by itself: without the time that the package and Python's site take.
        words = [sys.executable, "-I", "-S", str(_SCRIPT), str(group)]
        with in_namespace(pid):
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != _READY:
            self._process.kill()
            _, said = self._process.communicate()
            raise NetworkError(f"no SYNs can be held: {' '.join(said.splitlines()[-1:])}")

    def end(self) -> None:
        """No SYN is answered any more."""
        self._process.kill()
        self._process.communicate()
