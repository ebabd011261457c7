"""The server's command in a process of its own, and what it uses."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

from nat_traversal.wire.endpoint import Endpoint

SERVER_CORE, OTHER_CORE = 0, 1


def pinned(core: int | None) -> None:
    """In a child: one core, or any; and room for many connections."""
    if core is not None:
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """The command `server` on a core of its own. Use it as a context manager."""

    def __init__(self, root: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(root / "traversal_server.py"),
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--json",
                *words,
            ],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: pinned(SERVER_CORE),  # noqa: PLW1509 - no thread runs yet
        )
        assert self.process.stdout is not None
        self.fingerprint = ""
        for line in self.process.stdout:
            if found := re.search(rb'"fingerprint": "([0-9A-F:]+)"', line):
                self.fingerprint = found[1].decode()
            if found := re.search(rb"listening on 127\.0\.0\.1:(\d+)", line):
                self.endpoint = Endpoint("127.0.0.1", int(found[1]))
                break
        self.said = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65_536):
            self.said += len(data)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else 0.0

    @property
    def cpu(self) -> float:
        """Seconds of processor that it has used."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat")
            .read_text(encoding="utf-8")
            .rsplit(")", 1)[1]
            .split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
