"""Runs of datagrams in one system call: UDP_SEGMENT (GSO) and UDP_GRO where the kernel has them.

A run is datagrams of one size, one behind the other; the last may be shorter (udp(7)). Where
the kernel says no, the datagrams go one by one, from then on or just this time:

    EIO, ENOPROTOOPT, EOPNOTSUPP    an old kernel, another system, an interface without checksums: never again
    EINVAL, EMSGSIZE                this run is longer than the path's MTU allows: one by one, this time

Any of them but EIO and EINVAL may as well be the late ICMP error about an earlier datagram
(`soft_errors`): so they have to be said twice.
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from nat_traversal.aio import soft_errors
from nat_traversal.aio.packet_io import BATCH, LONGEST, Batch, Failed, PlainSocket, Slots
from nat_traversal.aio.soft_errors import SoftErrors

log = logging.getLogger(__name__)

UDP_SEGMENT = 103
UDP_GRO = 104
"""linux/udp.h; Python has no names for them before 3.14."""
MOST_SEGMENTS = 64
"""Of one run: UDP_MAX_SEGMENTS of kernels before 6.9, which is enough."""
MOST_OCTETS = 65_000
"""Of one run: the kernel makes it one IP packet first, of at most 65,535 octets with its headers."""
_SIZE = struct.Struct("=H")
_GRO_SIZE = struct.Struct("=i")
_ANCILLARY = socket.CMSG_SPACE(_GRO_SIZE.size)
_NEVER = {errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP}

Lost = Callable[[OSError, memoryview], None]
"""Told of each datagram that was not sent, with the reason."""
Address = tuple[str, int] | None
"""Where to; None on a connected socket."""


def most_in_a_run(size: int) -> int:
    """How many datagrams of `size` octets go in one run."""
    return max(1, min(MOST_SEGMENTS, MOST_OCTETS // max(1, size)))


class RunSender:
    """Sends runs from one socket. `offload` False: always one by one, for tests and other systems.

    `lost` is told of each datagram that did not leave, `lost_earlier` of each that did and met an ICMP error.
    """

    def __init__(
        self,
        sock: socket.socket,
        lost: Lost,
        lost_earlier: Callable[[soft_errors.Lost], None] = lambda _: None,
        *,
        offload: bool = True,
    ) -> None:
        self._sock = sock
        self._lost = lost
        self.errors = SoftErrors(sock, lost_earlier)
        """Of the socket, also for who reads it."""
        self.offloads = offload and hasattr(sock, "sendmsg")

    def send_run(self, octets: memoryview, size: int, to: Address = None) -> int:
        """Send the datagrams of `size` octets that lie in `octets`, at most `most_in_a_run` of them.
        Returns how many left."""
        if len(octets) <= size or not self.offloads or not self._sent((octets,), size, to):
            return self._one_by_one(
                [octets[at : at + size] for at in range(0, len(octets), size)]
                if octets
                else [octets],
                to,
            )
        return -(-len(octets) // size)

    def send_pieces(self, pieces: Sequence[memoryview], to: Address = None) -> int:
        """The same for datagrams of one size that lie apart."""
        if len(pieces) == 1 or not self.offloads or not self._sent(pieces, len(pieces[0]), to):
            return self._one_by_one(pieces, to)
        return len(pieces)

    def _sent(self, pieces: Sequence[memoryview], size: int, to: Address) -> bool:
        """Try to send a run. False: send its datagrams one by one."""
        if not size:
            return False
        segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, _SIZE.pack(size))]
        send = partial(self._send_pieces, pieces, segment, to)
        try:
            send()
        except OSError as error:
            own = self.errors.again(send, error, pieces[0])
            if own is None:
                return True
            if own.errno in _NEVER:
                self.offloads = False
                log.debug("no runs of datagrams here (%s): one by one", own.strerror)
            # All others too: each datagram then learns by itself what is wrong with it.
            return False
        return True

    def _send_pieces(
        self, pieces: Sequence[memoryview], segment: list[tuple[int, int, bytes]], to: Address
    ) -> None:
        if to is None:
            self._sock.sendmsg(pieces, segment)
        else:
            self._sock.sendmsg(pieces, segment, 0, to)

    def _one_by_one(self, pieces: Sequence[memoryview], to: Address) -> int:
        sent = 0
        for piece in pieces:
            try:
                self._send(piece, to)
            except OSError as error:
                own = self.errors.again(partial(self._send, piece, to), error, piece)
                if own is None:
                    sent += 1
                else:
                    self._lost(own, piece)
            else:
                sent += 1
        return sent

    def _send(self, piece: memoryview, to: Address) -> None:
        if to is None:
            self._sock.send(piece)
        else:
            self._sock.sendto(piece, to)


@dataclass(slots=True)
class Run:
    """The datagrams of one call: `length` octets, datagrams of `size` each but the last."""

    length: int
    size: int
    source: tuple[str, int]


class RunReceiver:
    """Receives runs on one socket, which must not be read in any other way from then on: without the
    sizes that the kernel tells beside them, datagrams would run into each other."""

    def __init__(self, sock: socket.socket, *, offload: bool = True) -> None:
        self._sock = sock
        self.offloads = offload
        if offload:
            try:
                sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            except OSError as error:
                self.offloads = False
                log.debug("the kernel puts no datagrams together (%s)", error.strerror)

    def receive_into(self, place: memoryview) -> Run:
        """The next datagrams. Raises what `recvmsg` raises, `BlockingIOError` if there are none.
        `place` should have 65,535 octets."""
        if not self.offloads:
            length, source = self._sock.recvfrom_into(place)
            return Run(length, length, source)
        length, ancillary, _, source = self._sock.recvmsg_into((place,), _ANCILLARY)
        if ancillary:
            return Run(length, _GRO_SIZE.unpack(ancillary[0][2])[0], source)
        return Run(length, length, source)


class RunSocket(PlainSocket):
    """A `PacketIO` that makes one system call for a run of datagrams, where the kernel can.

    `failed` and `lost` are as for `PlainSocket`, which sends what does not go as a run.
    """

    def __init__(
        self, sock: socket.socket, failed: Failed, lost: Callable[[soft_errors.Lost], None]
    ) -> None:
        super().__init__(sock, Slots(1), failed, lost)
        self._receiver = RunReceiver(sock)
        self._offloads = True
        self._places = [memoryview(bytearray(LONGEST)) for _ in range(BATCH)]

    @property
    def batch_size(self) -> int:
        return BATCH

    def receive(self) -> Batch:
        """Runs, until nothing is left or `batch_size` datagrams are there."""
        receive_into, frames = self._receiver.receive_into, list[memoryview]()
        for place in self._places:
            try:
                run = receive_into(place)
            except BlockingIOError:
                if not frames:  # what then made it readable is an error, told or not
                    self.errors.drain()
                return Batch(frames, is_last=True)
            except OSError as error:
                self.errors.came(error)
                return Batch(frames, is_last=False)
            length, size = run.length, run.size
            if length <= size:
                frames.append(place[:length])
            else:
                frames += [place[at : min(at + size, length)] for at in range(0, length, size)]
            if len(frames) >= BATCH:
                break
        return Batch(frames, is_last=False)

    def send(self, frames: Sequence[bytes | memoryview]) -> int:
        sent = 0
        for size, group in groupby(frames, key=len):
            same = list(group)
            most = most_in_a_run(size)
            for at in range(0, len(same), most):
                sent += self._send_same(same[at : at + most], size)
        return sent

    def _send_same(self, frames: list[bytes | memoryview], size: int) -> int:
        if len(frames) == 1 or not self._offloads or not size:
            return super().send(frames)
        segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, _SIZE.pack(size))]
        try:
            self.sock.sendmsg(frames, segment)
        except OSError as error:
            own = self.errors.again(lambda: self.sock.sendmsg(frames, segment), error, frames[0])
            if own is None:
                return len(frames)
            if own.errno in _NEVER:
                self._offloads = False
                log.debug("no runs of datagrams here (%s): one by one", own.strerror)
            return super().send(frames)
        return len(frames)
