"""Opening a file that a user has named: one that can be read to its end, so that nothing waits for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nat_traversal.errors import UsageError

_OWN_PIPES = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
"""Pipes that this process got when it began, as of ``<(command)`` in a shell: their writers are there."""


def descriptor_of(name: str) -> int:
    """A descriptor to read the file `name`, for the caller to close.

    Raises `UsageError` for one that cannot be opened, and for what is no regular file.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{name!r}: no file has a NUL in its name: leave it out") from None
    mode = os.fstat(descriptor).st_mode
    is_own_pipe = stat.S_ISFIFO(mode) and name.startswith(_OWN_PIPES)
    if not stat.S_ISREG(mode) and not is_own_pipe:
        os.close(descriptor)
        what = "Is a directory" if stat.S_ISDIR(mode) else "this is no regular file: name one"
        raise UsageError(f"{name}: {what}")
    os.set_blocking(descriptor, True)
    return descriptor


def check_readable(name: str) -> None:
    """Raises `UsageError` as `descriptor_of`."""
    os.close(descriptor_of(name))


def expanded(name: str) -> Path:
    """`name` with the home of ``~`` in its place. Raises `UsageError` for a user that is not there, and for a NUL."""
    if "\0" in name:
        raise UsageError(f"{name!r}: no file has a NUL in its name: leave it out")
    try:
        return Path(name).expanduser()
    except RuntimeError:
        user = name.partition("/")[0]
        raise UsageError(f"{name}: the home of {user} is not known: write the whole path") from None
