"""A checkout that has been set up has its packages in `.venv`: its scripts run with these."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

TRIED = "NAT_TRAVERSAL_VENV_TRIED_BY"
"""The environment variable with the process that has been replaced once: its number stays the same."""


def use(checkout: Path) -> None:
    """If this interpreter lacks `cryptography`, go on as the one in `checkout`'s ``.venv``, if there is one.

    Arguments, the interpreter's own options and the process stay the same, and so does its exit status.
    """
    python = checkout / ".venv" / "bin" / "python"
    process = str(os.getpid())
    if find_spec("cryptography") or os.environ.get(TRIED) == process or not python.exists():
        return
    os.environ[TRIED] = process
    with contextlib.suppress(OSError):  # it cannot be run: this one goes on
        os.execv(python, [str(python), *sys.orig_argv[1:]])  # noqa: S606 - no shell is meant
