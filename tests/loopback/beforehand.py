"""What a shell, a terminal or a service manager does before it becomes a command, for one that starts warm.

``python -m tests.loopback.beforehand CODE MODULE ARGUMENTS…`` runs CODE, then ``python -m MODULE ARGUMENTS…``.
"""

from __future__ import annotations

import os
import sys

from tests import endings


def limit_of_files(files: int, *, hard: bool = True) -> str:
    """As ``ulimit -n`` sets it, or ``ulimit -S -n``."""
    at_most = str(files) if hard else "resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    return f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {at_most}))"


def stdout_is(file: int) -> str:
    """A file that this process has open, until the command has said something elsewhere."""
    return f"import os; os.dup2(os.open('/proc/{os.getpid()}/fd/{file}', os.O_WRONLY), 1)"


def path_begins_with(folder: object) -> str:
    """As ``PYTHONPATH`` asks."""
    return f"import sys; sys.path.insert(0, {str(folder)!r})"


if __name__ == "__main__":
    exec(sys.argv[1], {})
    endings.become(sys.argv[2:])
