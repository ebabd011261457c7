"""Numbered datagrams both ways through a tunnel, fifty a second, while something happens to the network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

EVERY = 0.02
"""Seconds between two datagrams."""
_LATE = 25
"""Datagrams at the end that may still be on their way."""


@dataclass(slots=True)
class Way:
    """One direction: the numbers that were sent and those that have arrived."""

    sent: int = 0
    arrived: set[int] = field(default_factory=set)
    sent_by_then: dict[int, int] = field(default_factory=dict)
    """For each that has arrived: how many had been sent when it came. Some may have waited on their way."""

    @property
    def longest_gap(self) -> int:
        """The most datagrams in a row that did not arrive."""
        longest = row = 0
        for number in range(self.sent - _LATE):
            row = 0 if number in self.arrived else row + 1
            longest = max(longest, row)
        return longest

    def missed_from(self, number: int) -> int:
        """Datagrams that were sent, `number` and later ones, until the first of them arrived."""
        return min(by for each, by in self.sent_by_then.items() if each >= number) - number


class Stream:
    """Between a program and a service, whose sockets are this one's alone meanwhile. The service speaks once it has heard the program."""

    def __init__(
        self, program: socket.socket, entrance: tuple[str, int], service: socket.socket
    ) -> None:
        self._program, self._entrance, self._service = program, entrance, service
        self.there, self.back = Way(), Way()
        self._asker: tuple[str, int] | None = None
        self._is_over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send until the end."""
        for opened in (self._program, self._service):
            opened.setblocking(False)
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()

    def flow_on(self, count: int, within: float = 60.0) -> None:
        """Wait until `count` more datagrams have arrived each way."""
        wanted = [(way, len(way.arrived) + count) for way in (self.there, self.back)]
        give_up = time.monotonic() + within
        while any(len(way.arrived) < most for way, most in wanted):
            assert time.monotonic() < give_up, f"{self.there.longest_gap}, {self.back.longest_gap}"
            time.sleep(EVERY)

    def _run(self) -> None:
        while not self._is_over.wait(EVERY):
            with suppress(OSError):
                self._program.sendto(b"there %d" % self.there.sent, self._entrance)
            self.there.sent += 1
            if self._asker is not None:
                with suppress(OSError):
                    self._service.sendto(b"back %d" % self.back.sent, self._asker)
                self.back.sent += 1
            self._take(self._service, b"there ", self.there)
            self._take(self._program, b"back ", self.back)

    def _take(self, opened: socket.socket, word: bytes, way: Way) -> None:
        with suppress(BlockingIOError):
            while True:
                data, source = opened.recvfrom(2048)
                if data.startswith(word):
                    number = int(data.removeprefix(word))
                    way.arrived.add(number)
                    way.sent_by_then.setdefault(number, way.sent)
                    if opened is self._service:
                        self._asker = source
