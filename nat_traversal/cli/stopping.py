"""The signals by which somebody asks for an end, and whether a terminal can send them."""

from __future__ import annotations

import os
import signal

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each asks for an end."""


def has_terminal() -> bool:
    """Whether this process has a controlling terminal: a SIGHUP then says that it is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True
