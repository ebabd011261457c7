"""The process between the two ends of a link: `python -m natlab.links.relay`, started by `natlab.links.apply`.

It reads its work from one JSON line on stdin and answers ``ready`` when frames cross. It answers every
later line with a JSON line of its work so far, and ends with its stdin. It owns the sockets and the
clock; `DelayLine` decides.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import platform
import select
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from natlab.links.conditions import Way
from natlab.links.delayline import DelayLine

_ALL_FRAMES = 0x0003  # ETH_P_ALL
_SO_TIMESTAMPNS = 35
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_PR_SET_TIMERSLACK = 29
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_SLICE_NS = 100_000
_BUFFER_BYTES = 8 << 20
"""Asked for; the kernel grants at most twice `net.core.rmem_max`."""
_FRAME_BYTES = 9100
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
_BATCH = 64
"""Frames taken from one socket before what is due is looked at again."""
_REFUSALS = {errno.ENETDOWN, errno.ENXIO, errno.ENOBUFS, errno.EMSGSIZE}
_SECOND = 1_000_000_000
_LATE_UNIT = 10_000


@dataclass(slots=True)
class _Direction:
    source: socket.socket
    target: socket.socket
    line: DelayLine
    refused: int = 0
    """The kernel would not send them: the interface is going down, or its MTU was lowered."""
    missed: int = 0
    """The kernel had no room for them."""
    late: Counter[int] = field(default_factory=Counter)
    """How many batches came out so long after they were due, in whole 10 µs."""

    def take(self) -> None:
        """Accept what has come, each frame with the time at which the kernel saw it."""
        # The kernel stamps wall time, which may be set; the line's clock may not go back.
        behind = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.monotonic_ns()
        accept, receive = self.line.accept, self.source.recvmsg
        for _ in range(_BATCH):
            try:
                frame, ancillary, _, _ = receive(_FRAME_BYTES, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                return
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            accept(frame, seconds * _SECOND + nanoseconds - behind)

    def give(self, now: int) -> None:
        """Send what is due."""
        due = self.line.next_due
        if due is None or due > now:
            return
        self.late[(now - due) // _LATE_UNIT] += 1
        send = self.target.send
        for frame in self.line.release(now):
            try:
                send(frame)
            except OSError as error:
                if error.errno not in _REFUSALS:
                    raise
                self.refused += 1

    def summary(self) -> dict[str, int]:
        # The kernel counts from one reading to the next.
        statistics = self.source.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self.missed += struct.unpack("@II", statistics)[1]
        return {
            **asdict(self.line.counts),
            "refused": self.refused,
            "missed": self.missed,
            "late_median_us": _median(self.late) * _LATE_UNIT // 1000,
            "late_worst_us": max(self.late, default=0) * _LATE_UNIT // 1000,
        }


def _median(counter: Counter[int]) -> int:
    left = counter.total() // 2
    for value in sorted(counter):
        left -= counter[value]
        if left < 0:
            return value
    return 0


def main() -> None:
    work: list[dict[str, Any]] = json.loads(sys.stdin.readline())
    _ask_for_low_latency()
    sockets = {each["source"]: _packet_socket(each["source"]) for each in work}
    directions = [
        _Direction(
            sockets[each["source"]],
            sockets[each["target"]],
            DelayLine(Way(**each["way"]), each["seed"]),
        )
        for each in work
    ]
    gc.freeze()
    gc.disable()
    print("ready", flush=True)
    _relay(directions, sys.stdin.fileno())


def _ask_for_low_latency() -> None:
    """Both need no privilege, and are only asked for: what came of it is measured."""
    libc = ctypes.CDLL(None)
    # Else timers are up to 50 µs late by the kernel's choice.
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None:
        # From Linux 6.12, a process with short slices runs before one with long ones (sched(7)).
        attributes = struct.pack("=IIQiIQQQ", 48, 0, 0, 0, 0, _SLICE_NS, 0, 0)
        libc.syscall(number, 0, attributes, 0)


def _relay(directions: list[_Direction], requests: int) -> None:
    """Until `requests` ends, which is when the holder of its other end has gone or wants us to end."""
    by_socket = {direction.source.fileno(): direction for direction in directions}
    wanted = [requests, *by_socket]
    while True:
        dues = [d.line.next_due for d in directions if d.line.next_due is not None]
        # select(2) takes microseconds, where epoll_wait(2) would take milliseconds.
        timeout = max(0, min(dues) - time.monotonic_ns()) / _SECOND if dues else None
        readable, _, _ = select.select(wanted, [], [], timeout)
        for each in readable:
            if each != requests:
                by_socket[each].take()
            elif not os.read(requests, 100):
                return
            else:
                print(json.dumps([direction.summary() for direction in directions]), flush=True)
        now = time.monotonic_ns()
        for direction in directions:
            direction.give(now)


def _packet_socket(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # nothing comes before bind
    opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.bind((interface, _ALL_FRAMES))
    opened.setblocking(False)
    return opened


if __name__ == "__main__":
    main()
