"""A folder that is this user's alone, wherever it lies: in ``/tmp`` others may have been first."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nat_traversal.errors import UsageError


def check_private(folder: Path) -> None:
    """Raises `UsageError` unless `folder` is of this user and closed to others, and `OSError` if it is not there.

    A link to it counts only if this user or root has made it.
    """
    found = folder.stat()
    if found.st_uid != os.getuid() or folder.lstat().st_uid not in (found.st_uid, 0):
        raise UsageError(
            f"{folder} belongs to another user: remove it, or set XDG_RUNTIME_DIR to a folder of this one"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(f"{folder} is open to others: chmod 700 {folder}")
