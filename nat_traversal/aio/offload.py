"""Runs of datagrams in one system call: UDP_SEGMENT (GSO) and UDP_GRO where the kernel has them.

A run is datagrams of one size, one behind the other; the last may be shorter (udp(7)). Where
the kernel says no, the datagrams go one by one, from then on or just this time:

    EIO, ENOPROTOOPT, EOPNOTSUPP    an old kernel, another system, an interface without checksums: never again
    EINVAL, EMSGSIZE                these datagrams are longer than the MTU on the way: one by one for a while

Any of them but EIO and EINVAL may as well be the late ICMP error about an earlier datagram
(`soft_errors`): so they have to be said twice.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from nat_traversal.aio.features import LINUX, set_linux_option
from nat_traversal.aio.packet_io import BATCH, LONGEST, PKTINFO, Batch, Failed, Origin
from nat_traversal.aio.soft_errors import Lost, SoftErrors
from nat_traversal.wire.tray import Run, Tray

log = logging.getLogger(__name__)

UDP_SEGMENT = 103
UDP_GRO = 104
"""linux/udp.h; Python has no names for them before 3.14."""
MOST_SEGMENTS = 64
"""Of one run: UDP_MAX_SEGMENTS of kernels before 6.9, which is enough."""
MOST_OCTETS = 65_000
"""Of one run: the kernel makes it one IP packet first, of at most 65,535 octets with its headers."""
TRY_AGAIN = 256
"""Runs that go one by one after one whose datagrams were longer than the MTU: it may change."""
_SIZE = struct.Struct("=H")
_GRO = (socket.IPPROTO_UDP, UDP_GRO)
_GRO_SIZE = struct.Struct("=i")
_ANCILLARY = socket.CMSG_SPACE(_GRO_SIZE.size)
_WITH_PKTINFO = _ANCILLARY + socket.CMSG_SPACE(20)
_NEVER = {errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
_TOO_LONG = {errno.EINVAL, errno.EMSGSIZE}

Octets = TypeVar("Octets", bytes, memoryview, bytes | memoryview)
Ancillary = Sequence[tuple[int, int, bytes]]
"""As for `socket.sendmsg`."""
Address = tuple[str, int] | tuple[str, int, int, int] | None
"""Where to; None on a connected socket."""


def tray_for_reading(headroom: int = 0) -> Tray:
    """Room for a batch, and for the longest datagram behind it, with so many octets before the first."""
    return Tray(headroom + 2 * LONGEST)


def most_in_a_run(size: int) -> int:
    """How many datagrams of `size` octets go in one run."""
    return max(1, min(MOST_SEGMENTS, MOST_OCTETS // max(1, size)))


class RunSocket:
    """A `PacketIO` that makes one system call for a run of datagrams, where the kernel can.

    It reads into `tray`, from `headroom` on; its owner may give it another between two batches. The
    socket must not be read in any other way: without the sizes that the kernel tells beside them,
    datagrams would run into each other. `failed` is told of each datagram that did not leave, `lost` of those that
    did and met an ICMP error, once a call brings that. `offload` False: always one by one.
    """

    def __init__(
        self,
        sock: socket.socket,
        tray: Tray,
        failed: Failed,
        lost: Callable[[Lost], None],
        *,
        headroom: int = 0,
        offload: bool = True,
        connected: bool = True,
        pktinfo: bool = False,
    ) -> None:
        self.sock = sock
        self.tray = tray
        self._headroom = headroom
        self._failed = failed
        self._lost = lost
        self.errors = SoftErrors(sock, self._lost_earlier, queued=connected)
        self._last: tuple[memoryview, int] | None = None
        """The first datagram of the last run that was sent, and how many it had."""
        self.sends_runs = offload and LINUX
        self._alone_from = LONGEST + 1
        """Octets from which on datagrams go one by one, for so many more runs."""
        self._alone_for = 0
        self.receives_runs = offload and self._turn_on()
        self._ancillary = _WITH_PKTINFO if pktinfo else _ANCILLARY if self.receives_runs else 0

    def _turn_on(self) -> bool:
        try:
            set_linux_option(self.sock, *_GRO, 1)
        except OSError as error:
            log.debug("the kernel puts no datagrams together (%s)", error.strerror)
            return False
        return True

    # Receiving

    def receive(self, most: int = BATCH, *, again: bool = False) -> Batch:
        """Read a run of the kernel's, or about `most` datagrams. `again`: there were some just now."""
        if most == 1:
            return self._receive_first()
        runs, origins = list[Run](), list[Origin]()
        tray, start = self.tray, self._headroom
        octets, limit = tray.octets, start + LONGEST
        at, left, is_last = start, most, False
        size, origin = 0, None  # of the run that goes on, if one does
        while left > 0 and at <= limit:
            try:
                length, step, source = self._read(octets[at : at + LONGEST])
            except BlockingIOError:
                is_last = True
                if not again and not origins:  # what then made it readable is an error, told or not
                    self.errors.drain()
                break
            except OSError as error:
                self.errors.came(error)
                break
            if source != origin or length > step or not 0 < length <= size:
                if origin is not None:
                    runs.append(Run.between(tray, start, at, size))
                start, size, origin = at, step, source
                origins.append(source)
            at += length
            if length > step:
                left -= -(-length // step)
                if 2 * left < most:  # a long run: the next hop gets it at once
                    break
                runs.append(Run.between(tray, start, at, size))
                origin = None
                continue
            left -= 1
            if length < size or not length:
                runs.append(Run.between(tray, start, at, size))
                origin = None
        if origin is not None:
            runs.append(Run.between(tray, start, at, size))
        total = runs[0].total if len(runs) == 1 else sum([run.total for run in runs])
        return Batch(runs, origins, is_last, total)

    def _receive_first(self) -> Batch:
        """The same for one datagram, or one run, in fewer steps."""
        tray, start = self.tray, self._headroom
        try:
            length, step, origin = self._read(tray.octets[start : start + LONGEST])
        except BlockingIOError:
            self.errors.drain()
            return Batch([], [], True, 0)
        except OSError as error:
            self.errors.came(error)
            return Batch([], [], False, 0)
        if length > step:
            run = Run.between(tray, start, start + length, step)
        else:
            run = Run(tray, start, length, length, length, 1)
        return Batch([run], [origin], False, run.total)

    def _read(self, place: memoryview) -> tuple[int, int, Origin]:
        """The next datagrams: their octets, the size of each but the last, and where they came from."""
        if not self._ancillary:
            length, source = self.sock.recvfrom_into(place)
            return length, length, (source, b"")
        length, ancillary, _, source = self.sock.recvmsg_into((place,), self._ancillary)
        if not ancillary:
            return length, length, (source, b"")
        step, local = length, b""
        for level, kind, data in ancillary:
            if (level, kind) == _GRO:
                (step,) = _GRO_SIZE.unpack(data)
            elif (level, kind) in PKTINFO:
                local = data
        return length, step, (source, local)

    # Sending

    def send_run(
        self, octets: memoryview, size: int, to: Address = None, ancillary: Ancillary = ()
    ) -> int:
        """Send the datagrams of `size` octets that lie in `octets`; the last may be shorter, nothing is
        one empty datagram. How many left."""
        length = len(octets)
        if length <= size:
            return self._send_one(octets, to, ancillary)
        sent, most = 0, most_in_a_run(size) * size
        for at in range(0, length, most):
            run = octets[at : at + most]
            count = -(-len(run) // size)
            if count > 1 and self._sent((run,), run[:size], count, to, ancillary):
                sent += count
            else:
                parts = [run[part : part + size] for part in range(0, len(run), size)]
                sent += self._one_by_one(parts, to, ancillary)
        return sent

    def send_parts(
        self, parts: Sequence[memoryview], to: Address = None, ancillary: Ancillary = ()
    ) -> int:
        """The same for datagrams that lie apart, of any sizes."""
        if len(parts) == 1:
            return self._send_one(parts[0], to, ancillary)
        sent = 0
        for run in runs_of(parts):
            if len(run) > 1 and self._sent(run, run[0], len(run), to, ancillary):
                sent += len(run)
            else:
                sent += self._one_by_one(run, to, ancillary)
        return sent

    def _sent(
        self,
        parts: Sequence[memoryview],
        first: memoryview,
        count: int,
        to: Address,
        ancillary: Ancillary,
    ) -> bool:
        """Try to send a run. False: send its datagrams one by one."""
        size = len(first)
        if not self.sends_runs or not size:
            return False
        if size >= self._alone_from:
            self._alone_for -= 1
            if self._alone_for > 0:
                return False
            self._alone_from = LONGEST + 1
        said = [*ancillary, (socket.IPPROTO_UDP, UDP_SEGMENT, _SIZE.pack(size))]
        try:
            self._send(parts, to, said)
        except OSError as error:
            own = self.errors.again(partial(self._send, parts, to, said), error, first)
            if own is not None:
                if own.errno in _NEVER:
                    self.sends_runs = False
                    log.debug("no runs of datagrams here (%s): one by one", own.strerror)
                elif own.errno in _TOO_LONG:
                    self._alone_from, self._alone_for = size, TRY_AGAIN
                # All others too: each datagram then learns by itself what is wrong with it.
                return False
        self._last = (first, count)
        return True

    def _one_by_one(self, parts: Sequence[memoryview], to: Address, ancillary: Ancillary) -> int:
        return sum([self._send_one(part, to, ancillary) for part in parts])

    def _send_one(self, datagram: memoryview, to: Address, ancillary: Ancillary) -> int:
        try:
            if ancillary:
                self._send((datagram,), to, ancillary)
            elif to is None:
                self.sock.send(datagram)
            else:
                self.sock.sendto(datagram, to)
        except OSError as error:
            send = partial(self._send, (datagram,), to, ancillary)
            own = self.errors.again(send, error, datagram)
            self._last = None
            if own is None:
                return 1
            self._failed(own, datagram)
            return 0
        self._last = None
        return 1

    def _send(self, parts: Sequence[memoryview], to: Address, ancillary: Ancillary) -> None:
        if to is not None:
            if ancillary:
                self.sock.sendmsg(parts, ancillary, 0, to)
            else:
                self.sock.sendto(parts[0], to)
        elif ancillary:
            self.sock.sendmsg(parts, ancillary)
        else:
            self.sock.send(parts[0])

    def _lost_earlier(self, lost: Lost) -> None:
        """The kernel tells one error of a run that it has sent to another socket of this host as a whole."""
        last, self._last = self._last, None
        if last is not None and lost.start:
            first, count = last
            start = lost.start[: len(first)]
            if first[: len(start)] == start:
                lost = replace(lost, start=start, count=count)
        self._lost(lost)


def runs_of(parts: Sequence[Octets]) -> Iterator[Sequence[Octets]]:
    """Cut into runs: parts of one size, of which the last may be shorter, no more than the kernel takes."""
    start, count = 0, len(parts)
    while start < count:
        size = len(parts[start])
        stop = min(count, start + most_in_a_run(size))
        at = start + 1
        while at < stop and len(parts[at]) == size:
            at += 1
        if at < stop and 0 < len(parts[at]) < size:
            at += 1
        yield parts if at - start == count else parts[start:at]
        start = at
