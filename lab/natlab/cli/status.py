"""Exit statuses of the lab's commands, and the line that says why one is not 0."""

from __future__ import annotations

import sys
from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses; `natlab.cli.run.RunStatus` has those of commands that run programs."""

    OK = 0
    NOT_AS_PREDICTED = 1
    """A cell observed something else than predicted, or a check failed."""
    WORSE = 1
    """Of two reports, the new one has an outcome that is worse."""
    SLOW = 1
    """A network took longer beside the script that makes the same than `natlab.cli.bench_lab.BOUND` allows."""
    USAGE = 2
    UNAVAILABLE = 3
    """This machine cannot run the lab, or there was no room for what it says: no verdict. The text says
    what would help."""
    INTERRUPTED = 130


def complain(text: str, status: int) -> int:
    """Print the error, and return `status`. A file's name may hold what a terminal takes for an order."""
    shown = (
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )
    print(f"error: {''.join(shown)}", file=sys.stderr)
    return status
