"""Files that a command makes once and keeps: where, and never over an older one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nat_traversal.errors import UsageError


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where this program keeps what it makes: systemd's ``StateDirectory=``, else the user's state (XDG).

    Raises `UsageError` where neither is known.
    """
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])  # systemd's form for several
    if (given := environment.get("XDG_STATE_HOME")) and Path(given).is_absolute():
        return Path(given) / "nat-traversal"
    if home := environment.get("HOME"):
        return Path(home) / ".local" / "state" / "nat-traversal"
    raise UsageError("no HOME to keep files in: name a place, or set STATE_DIRECTORY")


def write_once(path: Path, data: bytes) -> bool:
    """Make `path` with `data`, for its owner only (mode 600), and its folders. False if it exists already.

    The file appears whole or not at all, whoever else makes it at the same time. Raises `UsageError`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 600
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            path.hardlink_to(draft)
        finally:
            draft.unlink()
    except FileExistsError as error:
        if path.exists():
            return False
        raise UsageError(f"{path} cannot be made: {error.strerror}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}") from None
    return True
