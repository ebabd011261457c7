"""The lab's name on the command line that started it."""

from __future__ import annotations

import sys
from pathlib import Path


def program_name(started: str | None = None) -> str:
    """How the user started the lab, for usage lines and advice; `started` is by default ``sys.argv[0]``."""
    path = Path(sys.argv[0] if started is None else started)
    return f"python -m {path.parent.name}" if path.name == "__main__.py" else "natlab"
