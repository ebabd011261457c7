"""A socket of a client, and the path on it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.relay_stream import RelayStream


@dataclass(eq=False, slots=True)
class OpenSocket:
    """One UDP socket of a client, and the path on it once there is one."""

    generation: int
    udp: socket.socket | None
    """None: `stream` stands for it."""
    stream: RelayStream | None = None
    path: DataPath | None = None
    early: list[bytes] = field(default_factory=list)
    """Frames that overtook the proof."""

    @property
    def sock(self) -> socket.socket:
        """The UDP socket of one that is no connection."""
        assert self.udp is not None
        return self.udp
