"""Programs on one host and a service on the other: numbered datagrams both ways, and what became of each."""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

_HEAD = struct.Struct("!4sBBBI")
_MAGIC = b"SOAK"
_ASKED, _ANSWERED = 0, 1
PAUSE = 0.05
"""Seconds between two datagrams of one program."""
MOST_FILLER = 3000
"""Octets: some datagrams are longer than a frame."""


@dataclass(slots=True)
class Account:
    """What became of the datagrams of one pair."""

    sent: int = 0
    served: int = 0
    answered: int = 0
    faults: list[str] = field(default_factory=list)
    """Everything that must not be: doubled, misdelivered, changed."""
    answers_by_minute: list[int] = field(default_factory=list)


def datagram(pair: int, program: int, number: int, kind: int) -> bytes:
    """The same for the same numbers, so that a receiver can tell whether it came whole."""
    rng = random.Random(f"{pair} {program} {number} {kind}")
    size = rng.choice([0, 0, 0, rng.randrange(MOST_FILLER)])
    return _HEAD.pack(_MAGIC, pair, program, kind, number) + rng.randbytes(size)


class Load:
    """The traffic of one pair, in a thread of its own, until `stop`."""

    def __init__(
        self,
        pair: int,
        programs: list[socket.socket],
        entrance: tuple[str, int],
        service: socket.socket,
    ) -> None:
        self.account = Account()
        self._pair = pair
        self._programs = programs
        self._entrance = entrance
        self._service = service
        self._numbers = [0] * len(programs)
        self._served: set[tuple[int, int]] = set()
        self._answered: set[tuple[int, int]] = set()
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"load {pair}", daemon=True)

    def start(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> Account:
        self._is_over.set()
        self._thread.join()
        return self.account

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for index, program in enumerate(self._programs):
                program.setblocking(False)
                selector.register(program, selectors.EVENT_READ, index)
            self._service.setblocking(False)
            selector.register(self._service, selectors.EVENT_READ, None)
            due = time.monotonic()
            while not self._is_over.is_set():
                if time.monotonic() >= due:
                    due += PAUSE
                    self._send()
                for key, _ in selector.select(max(0.0, due - time.monotonic())):
                    self._receive(key.data)

    def _send(self) -> None:
        for index, program in enumerate(self._programs):
            self._numbers[index] += 1
            try:
                program.sendto(
                    datagram(self._pair, index, self._numbers[index], _ASKED), self._entrance
                )
                self.account.sent += 1
            except OSError:
                pass  # the client is away: its port is closed

    def _receive(self, index: int | None) -> None:
        opened = self._service if index is None else self._programs[index]
        try:
            data, source = opened.recvfrom(65_536)
        except OSError:
            return
        self.judge(index, data, source)

    def judge(self, index: int | None, data: bytes, source: tuple[str, int]) -> None:
        """What came to program number `index`, or to the service."""
        at = f"pair {self._pair}, {'service' if index is None else f'program {index}'}"
        if len(data) < _HEAD.size or data[:4] != _MAGIC:
            self.account.faults.append(f"{at}: foreign octets {data[:20]!r} from {source}")
            return
        _, pair, program, kind, number = _HEAD.unpack_from(data)
        name = f"pair {pair}, program {program}, number {number}, kind {kind}"
        if data != datagram(pair, program, number, kind):
            self.account.faults.append(f"{at}: changed: {name}")
        elif index is None:
            self._serve(at, name, (pair, program, number, kind), source)
        else:
            self._take(at, name, (pair, program, number, kind), index)

    def _serve(
        self, at: str, name: str, what: tuple[int, int, int, int], source: tuple[str, int]
    ) -> None:
        pair, program, number, kind = what
        if pair != self._pair or kind != _ASKED:
            self.account.faults.append(f"{at}: misdelivered: {name}")
        elif (program, number) in self._served:
            self.account.faults.append(f"{at}: doubled: {name}")
        else:
            self._served.add((program, number))
            self.account.served += 1
            with suppress(OSError):
                self._service.sendto(datagram(pair, program, number, _ANSWERED), source)

    def _take(self, at: str, name: str, what: tuple[int, int, int, int], index: int) -> None:
        pair, program, number, kind = what
        if pair != self._pair or kind != _ANSWERED or program != index:
            self.account.faults.append(f"{at}: misdelivered: {name}")
        elif (program, number) in self._answered:
            self.account.faults.append(f"{at}: doubled: {name}")
        elif (program, number) not in self._served:
            self.account.faults.append(f"{at}: never asked: {name}")
        else:
            self._answered.add((program, number))
            self.account.answered += 1
            minute = int((time.monotonic() - self._began) / 60)
            counts = self.account.answers_by_minute
            counts.extend([0] * (minute + 1 - len(counts)))
            counts[minute] += 1
