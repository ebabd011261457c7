"""The file of `--key-log`: the keys of paths, for who reads a capture of their own."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from nat_traversal.crypto.epochs import TellKey
from nat_traversal.crypto.key_log import as_line
from nat_traversal.crypto.keyfile import check_mode
from nat_traversal.errors import UsageError
from nat_traversal.wire.offers import Suite

log = logging.getLogger(__name__)
_MODE = 0o600


def key_log(name: str | None) -> TellKey | None:
    """Adds lines to the file `name`, which it makes for its owner only, and says so once. No name: None.

    Raises `UsageError` for a file that cannot be written, or that others can read.
    """
    if name is None:
        return None
    try:
        file = _opened(name)
        mode = os.fstat(file).st_mode
        os.close(file)
    except OSError as error:
        raise UsageError(f"--key-log {name}: {error.strerror}") from None
    check_mode(mode, name)
    log.warning("the keys of this client's paths go to %s: its readers can open captures", name)

    def tell(connection: bytes, suite: Suite, key: bytes) -> None:
        try:
            file = _opened(name)
            try:
                os.write(file, f"{as_line(connection, suite, key)}\n".encode())
            finally:
                os.close(file)
        except OSError as error:
            log.warning("--key-log %s: %s", name, error.strerror)

    return tell


def check_key_log(name: str | None) -> None:
    """Look, without making it, whether `key_log` could add to the file. Raises `UsageError`."""
    if name is None:
        return
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
            raise UsageError(
                f"--key-log {name}: {path.parent} is no folder that this user can write to: name one"
            ) from None
        return
    except OSError as error:
        raise UsageError(f"--key-log {name}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise UsageError(f"--key-log {name}: this is no regular file: name one")
    if not os.access(path, os.W_OK):
        raise UsageError(f"--key-log {name}: this user cannot write to it: name another")
    check_mode(mode, name)


def _opened(name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
