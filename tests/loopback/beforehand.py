"""What a shell, a terminal or a service manager does before it becomes a command, for one that starts warm.

``python -m tests.loopback.beforehand CODE MODULE ARGUMENTS…`` runs CODE, then ``python -m MODULE ARGUMENTS…``.
"""

from __future__ import annotations

import os
import runpy
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


def _streams() -> list[tuple[int, int] | None]:
    """Which files are open as stdin, stdout and stderr."""
    found: list[tuple[int, int] | None] = []
    for number in range(3):
        try:
            status = os.fstat(number)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


if __name__ == "__main__":
    given = _streams()
    exec(sys.argv[1], {})
    if _streams() != given:
        # Then it matters how the interpreter ends. That takes longer than most commands.
        endings.become(sys.argv[2:])
    module, *sys.argv[1:] = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
