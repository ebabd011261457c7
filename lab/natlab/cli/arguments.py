"""The common part of the lab's commands: its name on the command line that started it, and whole numbers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from nat_traversal.errors import UsageError


def program_name(started: str | None = None) -> str:
    """How the user started the lab, for usage lines and advice; `started` is by default ``sys.argv[0]``."""
    path = Path(sys.argv[0] if started is None else started)
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else "natlab"


MOST = 1_000_000
"""Of anything that is counted: the lab holds each in memory."""


def positive(text: str) -> int:
    """A whole number from 1 to `MOST`. Raises `UsageError`."""
    found = re.fullmatch(r"0*([0-9]{1,7})", text)
    if found is None or not 1 <= int(found[1]) <= MOST:
        raise UsageError(f"{text!r} must be a whole number from 1 to {MOST}")
    return int(found[1])


def process_id(text: str) -> int:
    """The number of a process (proc_pid(5)). Raises `UsageError`."""
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise UsageError(
            f"{text!r} is no process: `natlab shell` lists the labs, each with its number first"
        )
    return int(text)
