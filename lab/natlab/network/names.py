"""The resolver that programs on a node ask for names: an /etc/resolv.conf of its own."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from natlab.errors import NetworkError

_FILE = "/etc/resolv.conf"


def ask_for_names(pid: int, resolver: str) -> None:
    """Of the programs in the mount namespace of process `pid`, from now on. Raises `NetworkError`."""
    with tempfile.NamedTemporaryFile("w", prefix="resolver-", encoding="ascii") as file:
        file.write(f"nameserver {resolver}\n")
        file.flush()
        Path(file.name).chmod(0o644)
        words = ("nsenter", f"--mount=/proc/{pid}/ns/mnt", "mount", "--bind", file.name, _FILE)
        try:
            done = subprocess.run(
                words, capture_output=True, encoding="utf-8", errors="replace", check=False
            )
        except OSError as error:
            raise NetworkError(
                f"cannot start nsenter: {error.strerror}; install Debian's package util-linux"
            ) from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise NetworkError(f"cannot give a node a {_FILE} of its own: {said}")
