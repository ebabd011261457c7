"""How fast packets are delivered: one sample for each that is acknowledged.

draft-cheng-iccrg-delivery-rate-estimation-02. Times are seconds of any clock, rates octets a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from aioquic.quic.packet_builder import QuicSentPacket


@dataclass(frozen=True, slots=True)
class _Sent:
    """The state of the count when a packet left."""

    delivered: int
    delivered_at: float
    first_sent_at: float
    is_app_limited: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """The news of one acknowledged packet."""

    rate: float
    """0.0: it tells nothing."""
    delivered_before: int
    """Octets that were delivered when the packet left."""
    is_app_limited: bool
    """The programs had nothing more to send then: the path may carry more."""


class Delivery:
    """The count of what was delivered, and of what was lost."""

    def __init__(self) -> None:
        self.delivered = 0
        """Octets that the other side has, altogether."""
        self.lost = 0
        self.in_flight = 0
        self._delivered_at = 0.0
        self._first_sent_at = 0.0
        self._app_limited_until = 0
        """Octets delivered: until there are more, samples are of a time when the programs had nothing to send."""
        self._sent: dict[int, _Sent] = {}

    def ran_dry(self) -> None:
        """The programs have nothing more to send, though more might leave."""
        self._app_limited_until = self.delivered + self.in_flight

    def sent(self, packet: QuicSentPacket) -> None:
        """This packet has left."""
        at = packet.sent_time or 0.0
        if not self.in_flight:
            self._first_sent_at = self._delivered_at = at
        self._sent[packet.packet_number] = _Sent(
            self.delivered,
            self._delivered_at,
            self._first_sent_at,
            self.delivered < self._app_limited_until,
        )
        self.in_flight += packet.sent_bytes

    def arrived(self, packet: QuicSentPacket, now: float, least: float) -> Sample:
        """It was acknowledged. An interval that is shorter than `least`, the least round trip, tells nothing: acknowledgements
        came in a bunch."""
        then = self._sent.pop(packet.packet_number)
        at = packet.sent_time or 0.0
        self.in_flight -= packet.sent_bytes
        self.delivered += packet.sent_bytes
        self._delivered_at, self._first_sent_at = now, at
        interval = max(at - then.first_sent_at, now - then.delivered_at)
        tells = interval >= least > 0.0
        rate = (self.delivered - then.delivered) / interval if tells else 0.0
        return Sample(rate, then.delivered, then.is_app_limited)

    def gone(self, packet: QuicSentPacket, *, is_lost: bool) -> None:
        """It was lost, or is not waited for any longer."""
        del self._sent[packet.packet_number]
        self.in_flight -= packet.sent_bytes
        if is_lost:
            self.lost += packet.sent_bytes


class Bunches:
    """How many octets more than the rate makes one expect are acknowledged at once, where hosts or links hold
    acknowledgements back for a while (draft-ietf-ccwg-bbr-02 section 5.5.9)."""

    _ROUNDS = 10
    """Round trips for which a bunch is remembered, and no more than twice as many."""

    def __init__(self) -> None:
        self._since = 0.0
        self._octets = 0
        self._changed = 0
        self._before = self._now = 0.0

    @property
    def most(self) -> float:
        """Octets, of late."""
        return max(self._before, self._now)

    def came(self, octets: int, rate: float, now: float, in_round: int) -> None:
        """So many octets were acknowledged."""
        expected = rate * (now - self._since)
        if self._octets <= expected:
            self._since, self._octets, expected = now, 0, 0.0
        self._octets += octets
        if in_round >= self._changed + self._ROUNDS:
            self._changed, self._before, self._now = in_round, self._now, 0.0
        self._now = max(self._now, self._octets - expected)
