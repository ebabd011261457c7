"""The connections that a process has open files for."""

from __future__ import annotations

import logging
from dataclasses import replace

from nat_traversal.aio.packet_io import SPARE_FILES, file_limit
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings

log = logging.getLogger(__name__)


def affordable(settings: ServerSettings) -> ServerSettings:
    """No more connections than open files. Raises `UsageError` where there is no room for a pair."""
    files = file_limit(settings.connections + SPARE_FILES)
    connections = files - SPARE_FILES
    if connections < 2:
        raise UsageError(
            f"this process may open {files} files, and a server needs {SPARE_FILES + 2} for one pair: "
            "raise `ulimit -n`"
        )
    if connections < settings.connections:
        log.warning("room for %d connections only: raise `ulimit -n`", connections)
    return replace(settings, connections=connections)
