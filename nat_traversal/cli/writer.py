"""Lines to a stream that may take none for a while: a thread of its own waits for the reader, nobody else does."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

MOST = 256 * 1024
"""Octets of lines that wait; those that come when it is full are dropped and counted."""
_AT_ONCE = 64 * 1024
WAKES, REST = 20, 0.02
"""Times in a second that the thread wakes up for lines at once; after that it rests so many seconds, and writes what has come
meanwhile. To wake it for each of many lines takes longer than to make them."""


class LineWriter:
    """Writes lines to the file descriptor `fd`, in order, from a thread.

    `dropped_line` makes the line that tells how many were dropped, once lines go out again.
    `failed` is told, from that thread, of the first error: after that all lines are dropped.
    """

    def __init__(
        self,
        fd: int,
        *,
        dropped_line: Callable[[int], str],
        failed: Callable[[OSError], None],
        most: int = MOST,
        wakes: int = WAKES,
        rest: float = REST,
    ) -> None:
        self._fd = fd
        self._dropped_line = dropped_line
        self._failed = failed
        self._most, self._most_wakes, self._pause = most, wakes, rest
        self._lines: deque[bytes] = deque()
        self._octets = 0
        self._untold = 0
        """Lines that were dropped since it was told last."""
        self._is_over = False
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        """Somebody waits for the end."""
        self._wakes, self._since = 0, 0.0
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines that were dropped."""

    def put(self, line: str) -> None:
        """Write `line`, without its newline, soon. Never waits."""
        octets = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._changed:
            if self._is_over or self._octets + len(octets) > self._most:
                self.dropped += 1
                self._untold += 1
                return
            self._lines.append(octets)
            self._octets += len(octets)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def finish(self, within: float) -> bool:
        """Wait up to `within` seconds until all lines are out. Whether they are."""
        self._hurry.set()
        with self._changed:
            done = self._changed.wait_for(lambda: not self._octets, within)
        self._hurry.clear()
        return done

    def _run(self) -> None:
        try:
            while True:
                chunk = self._next()
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
                with self._changed:
                    self._octets -= len(chunk)
                    self._changed.notify_all()
                self._rest()
        except OSError as error:
            with self._changed:
                self._is_over = True
                self.dropped += len(self._lines)
                self._lines.clear()
                self._octets = 0
                self._changed.notify_all()
            self._failed(error)

    def _rest(self) -> None:
        now = time.monotonic()
        if now - self._since >= 1.0:
            self._wakes, self._since = 0, now
        self._wakes += 1
        if self._wakes > self._most_wakes:
            self._hurry.wait(self._pause)

    def _next(self) -> bytes:
        """Whole lines, as many as make one write. They count as waiting until they are out."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._untold)
            chunk = bytearray()
            if self._lines:  # one that is longer goes out too
                chunk += self._lines.popleft()
            while self._lines and len(chunk) + len(self._lines[0]) <= _AT_ONCE:
                chunk += self._lines.popleft()
            if self._untold and not self._lines:
                told = self._dropped_line(self._untold).encode() + b"\n"
                self._octets += len(told)
                self._untold = 0
                chunk += told
            return bytes(chunk)
