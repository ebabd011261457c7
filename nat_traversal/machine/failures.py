"""Why an action could not be carried out, in words; whether it was for want of room."""

from __future__ import annotations

import errno

_REMEDIES = {
    errno.EMFILE: "this process has no file descriptor left: raise `ulimit -n`, or let it do less",
    errno.ENFILE: "this host has no file descriptor left: end programs, or raise fs.file-max",
    errno.ENOBUFS: "the kernel has no memory left for sockets",
    errno.ENOMEM: "the kernel has no memory left for sockets",
}
NO_ROOM = frozenset(_REMEDIES)
"""Errors that mean no room for one more socket. They pass once something else has ended."""


def lacks_room(error: BaseException | None) -> bool:
    """Whether `error`, or what caused it, means that there was no room for one more socket."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__
    return False


def in_words(error: BaseException) -> str:
    """`error` as one line, with a remedy where there is one."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno) if error.errno else None
    return remedy or error.strerror or str(error)
