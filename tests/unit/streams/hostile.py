"""A peer that sends any frames of QUIC: it has been let in, and keeps no rule."""

from __future__ import annotations

from typing import Any

from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.tls import Epoch

from nat_traversal.streams.actions import StreamAction
from nat_traversal.streams.quic import control_of
from tests.unit.streams.pair import Pair


class Hostile:
    """Such a peer and its victim, past the handshake. `listens`: the victim's side; else the peer's listens."""

    def __init__(self, *, listens: bool) -> None:
        self.pair = Pair()
        self.pair.run(1.0)
        self.victim = self.pair.a if listens else self.pair.b
        peer: Any = self.pair.b if listens else self.pair.a
        self._quic = peer.streams._quic
        self._unsent: list[bytes] = []
        self._quic._write_application = self._write
        control_of(self._quic).congestion_window = 1 << 30  # it heeds no network

    def sends(self, *packets: bytes) -> list[StreamAction]:
        """Each of `packets` holds frames. What the victim makes of all of them at once."""
        self._unsent = [*packets]
        now = self.pair.clock.now
        datagrams: list[bytes] = []
        while self._unsent:
            datagrams += [octets for octets, _ in self._quic.datagrams_to_send(now)]
        found = self.victim.streams.arrived(datagrams, now)
        self.victim.streams.datagrams(now)
        return found

    def _write(self, builder: Any, _path: Any, _now: float) -> None:
        if self._unsent:
            builder.start_packet(QuicPacketType.ONE_RTT, self._quic._cryptos[Epoch.ONE_RTT])
            builder.start_frame(QuicFrameType.PING, capacity=1).push_bytes(self._unsent.pop(0))


def stream_frame(stream: int, offset: int, octets: bytes, *, is_last: bool = False) -> bytes:
    """RFC 9000 section 19.8."""
    head = (0x0E | is_last, stream, offset, len(octets))
    return b"".join(map(number, head)) + octets


def reset_frame(stream: int, size: int) -> bytes:
    """RFC 9000 section 19.4."""
    return b"".join(map(number, (0x04, stream, 1, size)))


def stop_frame(stream: int) -> bytes:
    """RFC 9000 section 19.5."""
    return b"".join(map(number, (0x05, stream, 1)))


def number(value: int) -> bytes:
    """As QUIC writes it."""
    buffer = Buffer(capacity=8)
    buffer.push_uint_var(value)
    return buffer.data


def crypto_frame(offset: int, octets: bytes) -> bytes:
    """RFC 9000 section 19.6."""
    return b"".join(map(number, (0x06, offset, len(octets)))) + octets
