"""A checkout that has been set up has its packages in `.venv`: its scripts run with these."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

TRIED = "NAT_TRAVERSAL_VENV_TRIED_BY"
"""The environment variable with the process that has been replaced once: its number stays the same."""

_PACKAGES = ("cryptography", "aioquic")
"""For sealed paths, and for TCP services."""


def use(checkout: Path) -> None:
    """If this interpreter lacks a package that a client may need, go on as the one in `checkout`'s ``.venv``, if there is one.

    Arguments, the interpreter's own options and the process stay the same, and so does its exit status.
    """
    python = checkout / ".venv" / "bin" / "python"
    process = str(os.getpid())
    has_all = all(find_spec(each) for each in _PACKAGES)
    if has_all or os.environ.get(TRIED) == process or not python.exists():
        return
    os.environ[TRIED] = process
    with contextlib.suppress(OSError):  # it cannot be run: this one goes on
        os.execv(python, [str(python), *sys.orig_argv[1:]])  # noqa: S606 - no shell is meant
