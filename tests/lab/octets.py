"""Numbered octets both ways through one TCP connection, fifty times a second, while something happens to the network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.lab.streams import EVERY

AT_ONCE = 128
"""Numbers that an end says at a time, eight octets each: they fit into one datagram."""
_NUMBER = 8
_MOST_UNSENT = 1 << 20
_WITHIN = 30.0


class End:
    """A program at one end of the connection: it says the numbers from 0 on, and expects the same."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._unsent = bytearray()
        self._next = 0
        self.said = 0
        """Octets."""
        self.heard = 0
        """Those of them that came and were right."""
        self.trouble = ""
        """What was wrong first."""

    def run(self, is_over: threading.Event) -> None:
        """Talk until it is over, then say no more and hear the other end out."""
        try:
            while not is_over.wait(EVERY):
                if len(self._unsent) < _MOST_UNSENT:
                    self._say()
                self._send()
                self._hear()
            self._sock.settimeout(_WITHIN)
            self._sock.sendall(self._unsent)
            self._sock.shutdown(socket.SHUT_WR)
            while octets := self._sock.recv(65_536):
                self._take(octets)
        except OSError as error:
            self.trouble = self.trouble or f"{error!r} after {self.heard} octets"

    def _say(self) -> None:
        for number in range(self._next, self._next + AT_ONCE):
            self._unsent += number.to_bytes(_NUMBER)
        self._next += AT_ONCE
        self.said += AT_ONCE * _NUMBER

    def _send(self) -> None:
        with suppress(BlockingIOError):
            del self._unsent[: self._sock.send(self._unsent)]

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while octets := self._sock.recv(65_536):
                self._take(octets)

    def _take(self, octets: bytes) -> None:
        first, skipped = divmod(self.heard, _NUMBER)
        last = (self.heard + len(octets)) // _NUMBER
        wanted = b"".join(number.to_bytes(_NUMBER) for number in range(first, last + 1))
        if not self.trouble and octets != wanted[skipped : skipped + len(octets)]:
            self.trouble = (
                f"other octets came than were sent, within {len(octets)} after {self.heard}"
            )
        if not self.trouble:
            self.heard += len(octets)


class Conversation:
    """Between the program that has opened the connection and the service that has taken it."""

    def __init__(self, program: socket.socket, service: socket.socket) -> None:
        self.ends = End(program), End(service)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Both talk until the end."""
        is_over = threading.Event()
        threads = [threading.Thread(target=end.run, args=[is_over]) for end in self.ends]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def flow_on(self, times: int, within: float = 60.0) -> None:
        """Wait until each end has heard what the other says in so many times."""
        wanted = [(end, end.heard + times * AT_ONCE * _NUMBER) for end in self.ends]
        give_up = time.monotonic() + within
        while any(end.heard < most for end, most in wanted):
            assert not any(end.trouble for end in self.ends), [end.trouble for end in self.ends]
            assert time.monotonic() < give_up, [(end.said, end.heard) for end in self.ends]
            time.sleep(EVERY)
