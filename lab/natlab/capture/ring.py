"""A packet socket's ring, into which the kernel copies each frame as it passes (packet(7), TPACKET_V2).

Without one the socket keeps a frame whose memory it shares with the stack, until it is read. There
Linux' fast path for later fragments of IPv4 rewrites addresses: the capture would show the frame as it
was afterwards. No scapy here.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS = 5, 6
_PACKET_COPY_THRESH, _PACKET_VERSION = 7, 10
_TPACKET_V2 = 1
_USER, _COPY = 1, 2  # tp_status: it is ours; the whole frame is in the queue too
_HEADER = struct.Struct("@IIIHHII")
"""Of a frame: status, length, octets kept, offset of the frame, of its IP packet, seconds, nanoseconds."""
_ADDRESS_AT = 32
"""Where the frame's `sockaddr_ll` begins: ``TPACKET_ALIGN(sizeof(struct tpacket2_hdr))``."""
_PACKET_TYPE_AT = _ADDRESS_AT + 10
_STATUS = struct.Struct("@I")
_STATISTICS = struct.Struct("@II")
_SLOT, _BLOCK, _BLOCKS = 2048, 1 << 16, 64
"""Octets of a slot, of a block, and blocks. A frame of 1,514 octets and its header fit into a slot."""
SLOTS = _BLOCK // _SLOT * _BLOCKS
"""Frames that wait to be read; more are lost, and counted."""


@dataclass(frozen=True, slots=True)
class Caught:
    """A frame as the ring holds it. `time` is in seconds since 1970, from the kernel."""

    octets: bytes
    time: float
    packet_type: int
    """``PACKET_OUTGOING``, or how it came in."""


class Ring:
    """The ring of `opened`, an ``AF_PACKET`` socket; what came before it is gone. Close it before the socket.

    Frames that are longer than a slot are in the socket's queue instead, shared memory or not.
    """

    def __init__(self, opened: socket.socket) -> None:
        """Raises `OSError` if the kernel has no memory for it."""
        self._opened = opened
        opened.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        opened.setsockopt(SOL_PACKET, _PACKET_COPY_THRESH, 1)
        wanted = struct.pack("@IIII", _BLOCK, _BLOCKS, _SLOT, SLOTS)
        opened.setsockopt(SOL_PACKET, _PACKET_RX_RING, wanted)
        self._memory = mmap.mmap(opened.fileno(), _BLOCK * _BLOCKS)
        self._next = 0
        self.cut = 0
        """Frames of which the end is missing: there was no room for the whole."""
        self.lost()  # while the ring was made: traffic may have been there before the capture

    def take(self) -> Iterator[Caught]:
        """All that it holds now, in order, but for what is in the socket's queue."""
        memory = self._memory
        while True:
            at = self._next * _SLOT
            status, length, kept, begin, _, seconds, nanoseconds = _HEADER.unpack_from(memory, at)
            if not status & _USER:
                return
            packet_type = memory[at + _PACKET_TYPE_AT]
            octets = memory[at + begin : at + begin + kept]
            _STATUS.pack_into(memory, at, 0)  # the kernel's again
            self._next = (self._next + 1) % SLOTS
            if kept == length:
                yield Caught(octets, float(seconds + nanoseconds * 1e-9), packet_type)
            elif not status & _COPY:
                self.cut += 1

    def lost(self) -> int:
        """How many frames found no room since the last call."""
        answer = self._opened.getsockopt(SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        lost, self.cut = int(_STATISTICS.unpack(answer)[1]) + self.cut, 0
        return lost

    def close(self) -> None:
        """A second call does nothing."""
        self._memory.close()
