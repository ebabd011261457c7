"""Standard output and error that never fail whoever prints: what cannot be shown or written is lost.

A reader that goes away, a full disk, a closed stream or a character that the locale lacks has no say
in what a command does. Results are kept in files; `lost_output` tells what became of the words.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TextIO

_PLAIN = {
    "×": "x",
    "–": "-",
    "—": "-",
    "·": "-",
    "…": "...",
    "µ": "u",
    "½": ".5",
    "±": "+/-",
    "≥": ">=",
}
"""A substitute for each character that a locale may lack; others become a question mark."""


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in lacking), error.end


codecs.register_error("natlab.plain", _in_plain)


class _Octets(io.RawIOBase):
    """Writes to a file descriptor until that fails, and from then on to nowhere."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.trouble: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def write(self, octets: object) -> int:
        assert isinstance(octets, bytes | bytearray | memoryview)
        while self.trouble is None:
            try:
                return os.write(self._fd, octets)
            except BlockingIOError:  # another program has made the terminal so
                select.select([], [self._fd], [])
            except OSError as error:
                self.trouble = error
        return len(octets)


_octets: dict[int, _Octets] = {}


def never_fail_on_output() -> None:
    """Put such streams in the place of this process's own, and something on 0, 1 and 2 where nothing is.

    A stream that has been put in the place of `sys.stdout` or `sys.stderr` before, as by pytest, stays.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # closed; else the next file opened would be taken for it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, sys.stderr)


def _stream(fd: int, old: TextIO | None) -> TextIO:
    if old is not None:
        old.flush()
    octets = _octets[fd] = _Octets(fd)
    return io.TextIOWrapper(
        io.BufferedWriter(octets),
        encoding=old.encoding if old else "utf-8",
        errors="natlab.plain",
        line_buffering=fd == 2 or octets.isatty(),
    )


def lost_output() -> str | None:
    """Why words on standard output were lost, if they were. A reader that left wants no more: None."""
    if 1 not in _octets:
        return None
    sys.stdout.flush()
    trouble = _octets[1].trouble
    if trouble is None or trouble.errno == errno.EPIPE:
        return None
    return f"cannot write the output: {trouble.strerror}"
