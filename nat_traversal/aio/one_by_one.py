"""The half of a `PacketIO` that datagrams take one by one, where what comes is handed over and never read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nat_traversal.aio.packet_io import Batch


class OneByOne(ABC):
    """A `PacketIO` but for its socket. `push` sends."""

    @abstractmethod
    def push(self, datagram: memoryview) -> None:
        """Send one datagram, or lose it."""

    def receive(self, most: int = 0, *, again: bool = False) -> Batch:
        """Nothing is read: what comes is handed over."""
        del most, again
        return Batch([], [], is_last=True, total=0)

    def send_run(self, octets: memoryview, size: int) -> int:
        """As `PacketIO.send_run`. A datagram too many for a server that does not read is lost."""
        starts = range(0, len(octets), size or 1)
        return self.send_parts([octets[start : start + size] for start in starts])

    def send_parts(self, parts: Sequence[memoryview]) -> int:
        """As `PacketIO.send_parts`."""
        for part in parts:
            self.push(part)
        return len(parts)
