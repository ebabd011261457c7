"""How long a round trip takes on the way of now: aioquic's estimate, which begins anew on another way (RFC 9000 section 9.4).

By it QUIC tells when a datagram is lost, and how long it waits before it asks again.
"""

from __future__ import annotations

import math
from typing import Any

from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketRecovery

_ESTIMATE = (
    "_rtt_first_sample_time",
    "_rtt_initialized",
    "_rtt_latest",
    "_rtt_min",
    "_rtt_smoothed",
    "_rtt_variance",
)
"""The attributes that hold it."""
_UNKNOWN = (0.0, False, 0.0, math.inf, 0.0, 0.0)
"""Their values before the first acknowledgement (RFC 9002 section 5.3)."""


class RoundTrips(QuicPacketRecovery):
    """aioquic's recovery, with a `restart`. `adopt` makes one of aioquic's own."""

    _first = 0
    """The number of the first packet on the way of now."""

    @classmethod
    def adopt(cls, recovery: QuicPacketRecovery) -> None:
        """Let that one be of this class from now on: aioquic makes its own."""
        recovery.__class__ = cls

    def restart(self, first: int) -> None:
        """Know nothing: packets from number `first` on take another way. Silence on the way before says nothing of it."""
        self._first = first
        self._put(_UNKNOWN)
        self._pto_count = 0

    def on_ack_received(self, *, ack_rangeset: RangeSet, **others: Any) -> None:
        """As aioquic has it, but the time of a packet that took the way before does not count."""
        before = tuple(getattr(self, name) for name in _ESTIMATE)
        super().on_ack_received(ack_rangeset=ack_rangeset, **others)
        if ack_rangeset.bounds().stop <= self._first:
            self._put(before)

    def _put(self, values: tuple[Any, ...]) -> None:
        for name, value in zip(_ESTIMATE, values, strict=True):
            setattr(self, name, value)
