"""The common part of the lab's commands: its name on the command line that started it, and whole numbers."""

from __future__ import annotations

import sys
from pathlib import Path

from nat_traversal.errors import UsageError


def program_name(started: str | None = None) -> str:
    """How the user started the lab, for usage lines and advice; `started` is by default ``sys.argv[0]``."""
    path = Path(sys.argv[0] if started is None else started)
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else "natlab"


def positive(text: str) -> int:
    """A whole number from 1. Raises `UsageError`."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise UsageError(f"{text!r} must be a whole number from 1")
    return int(text)
