"""Datagrams of the lab's own through a program: sent at one end, answered at the other, each counted.

Their sizes are drawn by chance. So they are known again on the wire, whatever the program makes of them.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from natlab.errors import ProgramError
from natlab.evidence.way import Probe
from natlab.sandbox.netns import in_namespace

EVERY = 0.1
"""Seconds between two probes."""
SIZES = (200, 1000)
"""Octets, least and greatest: longer than what programs say to each other by themselves, and no more than
passes on any path in a tunnel."""
_HEAD = struct.Struct("!8sI")
_BATCH = 65_536
_NOT_YET = {errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED}
_NOT_YET |= {errno.ENETDOWN, errno.ENOBUFS, errno.EPERM}
"""A program's interface, route or socket is not there, or its NAT forbids it, which may change."""
_TIMESPEC = struct.Struct("@qq")
_SO_TIMESTAMPNS = 35
Endpoint = tuple[str, int]


class Exchange:
    """Probes from a socket in the namespace of process `sender` to `to`, answered by one at `listen` in that
    of `receiver`. Use it as a context manager, and call `work` all the time."""

    def __init__(
        self, sender: int, to: Endpoint, receiver: int, listen: Endpoint, seed: int
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - sizes, not secrets
        self._mark = os.urandom(8)
        self._to, self._listen = to, listen
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        self._near = _open(sender, family)
        self._far = _open(receiver, socket.AF_INET6 if ":" in listen[0] else socket.AF_INET)
        self._bound = False
        self._due = 0.0
        self._probes: list[Probe] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()

    @property
    def probes(self) -> tuple[Probe, ...]:
        """All so far, in order."""
        return tuple(self._probes)

    def answered_since(self, moment: float) -> int:
        """How many probes that were sent after `moment` (seconds since 1970) have been answered."""
        return sum(probe.answered is not None and probe.sent >= moment for probe in self._probes)

    def work(self, timeout: float) -> None:
        """Send what is due, and take what comes within `timeout` seconds. Raises `ProgramError`."""
        end = time.monotonic() + timeout
        while True:
            self._bind()
            now = time.monotonic()
            if now >= self._due:
                self._due = now + EVERY
                self._send()
            left = max(0.0, min(end, self._due) - time.monotonic())
            ready, _, _ = select.select([self._near, self._far], [], [], left)
            for opened in ready:
                self._take(opened, self._reached if opened is self._far else self._answered)
            if time.monotonic() >= end:
                return

    def _bind(self) -> None:
        if self._bound:
            return
        try:
            self._far.bind(self._listen)
        except OSError as error:
            if error.errno not in _NOT_YET:
                host, port = self._listen
                raise ProgramError(
                    f"the exchange cannot answer at {host}:{port}: {error.strerror}; give another port"
                    " as listen"
                ) from None
        else:
            self._bound = True

    def _send(self) -> None:
        size = self._rng.randint(*SIZES)
        head = _HEAD.pack(self._mark, len(self._probes))
        sent = time.time()
        if _sends(self._near, head + os.urandom(size - _HEAD.size), self._to):
            self._probes.append(Probe(size, sent))

    def _take(
        self, opened: socket.socket, taken: Callable[[int, bytes, Endpoint, float], None]
    ) -> None:
        while True:
            try:
                data, ancillary, _, source = opened.recvmsg(_BATCH, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _NOT_YET:
                    raise
                continue  # an ICMP error, told once
            if len(data) < _HEAD.size or data[:8] != self._mark:
                continue
            _, number = _HEAD.unpack_from(data)
            if number < len(self._probes) and len(data) == self._probes[number].size:
                taken(number, data, source, _timestamp(ancillary))

    def _reached(self, number: int, data: bytes, source: Endpoint, at: float) -> None:
        probe = self._probes[number]
        if probe.reached is None:
            self._probes[number] = replace(probe, reached=at)
        _sends(self._far, data[: _HEAD.size] + os.urandom(probe.size - _HEAD.size), source)

    def _answered(self, number: int, _data: bytes, _source: Endpoint, at: float) -> None:
        probe = self._probes[number]
        if probe.answered is None and probe.reached is not None:
            self._probes[number] = replace(probe, answered=at)


def _open(pid: int, family: socket.AddressFamily) -> socket.socket:
    with in_namespace(pid):
        opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return opened


def _sends(opened: socket.socket, data: bytes, to: Endpoint) -> bool:
    for _ in range(2):  # the first call may only tell of an earlier datagram's ICMP error
        try:
            opened.sendto(data, to)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NOT_YET:
                raise ProgramError(
                    f"the exchange cannot send to {to[0]}:{to[1]}: {error.strerror}"
                ) from None
        else:
            return True
    return False


def _timestamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return float(seconds + nanoseconds * 1e-9)
    return time.time()
