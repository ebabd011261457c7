"""Congestion control that measures the path, and so does not take each loss for a full queue: BBR.

draft-cardwell-iccrg-bbr-congestion-control-00 (version 1), with these of version 3 (draft-ietf-ccwg-bbr-02): a full
queue that was found is left alone for longer, much loss bounds the rate, and looking for the least round trip halves
the window instead of all but closing it. Rates are octets a second, times seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from enum import IntEnum, auto

from aioquic.quic.congestion.base import QuicCongestionControl, register_congestion_control
from aioquic.quic.packet_builder import QuicSentPacket

from nat_traversal.streams.delivery import Bunches, Delivery, Sample
from nat_traversal.streams.pacer import LATENESS, Pacer

NAME = "bbr"
MUCH_LOSS = 0.1
"""The part of octets that may be lost, over some round trips. Version 3 has 0.02, and so ends on links that lose 5 %."""
_BETA = 0.7
"""Much loss leaves so much of the rate at least (version 3)."""
_LOSS_WEIGHT = 0.25
"""Of the last round in that part."""
_TELLS_LOSS = 50
"""Packets: a round has as many, or it lasts longer."""
_FULL_GAIN, _FULL_ROUNDS = 1.25, 3
"""The path is full once its rate has not grown so much in so many rounds (version 1 section 4.3.2.1)."""
_RATE_ROUNDS = 10
"""Round trips that the highest rate is remembered (version 1 section 4.1.1.3)."""
_STEADY_ROUNDS, _STEADY_MOST = 6, 63
"""Round trips between two questions for more: as version 1 has it, and at most where the last found a full queue. Then
Reno would have won back in as many as the path holds packets, so it is left that long (version 3, section 5.3.3.8)."""
_MOST_BUNCH = 0.1
"""Seconds of the rate that windows grow by at most since acknowledgements come in bunches (version 3, section 5.5.9)."""
_UP_GAIN = 1.1
"""A round that asked for more has got some if the rate has grown so much: then the next asks too (version 3 section 5.3.3.5)."""
_MOST_DOWN = 3
"""Least round trips that are spent on letting a queue go."""
_FOUND_LOSS, _FOUND_PACKETS = 0.05, 3
"""A question for more has found a full queue if it lost so much more than usual, and so many packets at least."""
_LEAST_FOR, _LEAST_EVERY, _LEAST_STAYS = 0.2, 5.0, 10.0
"""Seconds: looking for the least round trip takes, comes, and its answer is good for (version 3, section 5.3.4)."""
_LEAST_GAIN = 0.5
_LEAST_WINDOW, _FIRST_WINDOW = 4, 10
"""Packets (version 1 section 4.2.3.2, RFC 9002 section 7.2)."""


class Phase(IntEnum):
    """Of version 3's names."""

    STARTUP = auto()
    """Double the rate in each round trip."""
    DRAIN = auto()
    """Let go the queue that this has made."""
    UP = auto()
    """Ask for more."""
    DOWN = auto()
    """Let go the queue that this has made, if there was no more."""
    STEADY = auto()
    LEAST = auto()
    """Look for the least round trip."""


_HIGH = 2 / math.log(2)
_RATE_GAINS = {
    Phase.STARTUP: _HIGH,
    Phase.DRAIN: 1 / _HIGH,
    Phase.UP: 1.25,
    Phase.DOWN: 0.75,
    Phase.STEADY: 1.0,
    Phase.LEAST: 1.0,
}
"""Of the rate that was measured (version 1 sections 4.1.1 and 4.3.4.2)."""
_WINDOW_GAINS = {Phase.STARTUP: _HIGH, Phase.DRAIN: _HIGH, Phase.LEAST: _LEAST_GAIN}
_WINDOW_GAIN = 2.0
"""Of what the path holds, in all other phases: acknowledgements come late and in bunches (version 1 section 4.2.3)."""


class Bbr(QuicCongestionControl):
    """One QUIC connection's. Its `pacer` must stand in the place of aioquic's."""

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self.pacer = Pacer(max_datagram_size)
        self._delivery = Delivery()
        self._built = 0
        """Octets of packets since `built`."""
        self._next = 0
        """The number of the next packet."""
        self.restart()

    def restart(self) -> None:
        """Know nothing of the path: it is another one (RFC 9000 section 9.4)."""
        self.congestion_window = _FIRST_WINDOW * self.pacer.size
        self.pacer.rate = 0.0
        self._phase, self._phase_at, self._phase_round = Phase.STARTUP, 0.0, 0
        self._first, self._tells = self._next, False
        """The number of the first packet on this path, and whether the last that arrived was of this path."""
        self._rates: deque[tuple[int, float]] = deque()
        """Rounds, and the rate of each that none since has exceeded: the highest comes first."""
        self._bunches = Bunches()
        self._round = 0
        self._round_ends = self._delivery.delivered
        self._counted = self._delivery.delivered, self._delivery.lost
        self._loss = 0.0
        self._quickest = 0.0
        """The highest rate since loss was counted."""
        self._full_rate, self._full_rounds = 0.0, 0
        self._asked = math.inf, math.inf
        """When the last question for more began and ended."""
        self._asked_delivered = self._asked_lost = 0
        self._asked_rate = 0.0
        self._steady_rounds = _STEADY_ROUNDS
        self._least = math.inf
        """The least round trip."""
        self._least_at, self._looked_at = 0.0, math.inf
        self._looks_until = math.inf

    def resize(self, octets: int) -> None:
        """Packets have so many octets from now on."""
        self.pacer.size = octets

    def built(self, *, is_held: bool) -> None:
        """Packets were built, and leave now. `is_held`: the pacer let no more of them."""
        self.pacer.settle(self._built)
        self._built = 0
        if not is_held and not self.is_full:
            self._delivery.ran_dry()

    @property
    def is_full(self) -> bool:
        """The window has no room for a packet."""
        return self.bytes_in_flight + self.pacer.size > self.congestion_window

    @property
    def rate(self) -> float:
        """The highest that was measured of late; 0.0: none was."""
        return self._rates[0][1] if self._rates else 0.0

    # What aioquic says

    def on_packet_sent(self, *, packet: QuicSentPacket) -> None:
        """This one leaves."""
        self._delivery.sent(packet)
        self._next = packet.packet_number + 1
        self._built += packet.sent_bytes
        self.bytes_in_flight = self._delivery.in_flight

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        """It has arrived."""
        least = self._least if self._least < math.inf else 0.0
        sample = self._delivery.arrived(packet, now, least)
        self.bytes_in_flight = self._delivery.in_flight
        self._tells = packet.packet_number >= self._first
        if not self._tells:
            return
        if self._was_asked(packet):
            self._asked_delivered += packet.sent_bytes
        if sample.delivered_before >= self._round_ends:
            self._begin_round(sample)
        self._learn(sample)
        if not self._rates:
            self.congestion_window += packet.sent_bytes
            return
        self._bunches.came(packet.sent_bytes, self.rate, now, self._round)
        self._move(now)
        self._set(packet.sent_bytes)

    def on_packets_expired(self, *, packets: Iterable[QuicSentPacket]) -> None:
        """Nobody waits for these any longer."""
        for packet in packets:
            self._delivery.gone(packet, is_lost=False)
        self.bytes_in_flight = self._delivery.in_flight

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:  # noqa: ARG002 - aioquic's
        """These were lost."""
        for packet in packets:
            self._delivery.gone(packet, is_lost=True)
            if self._was_asked(packet):
                self._asked_lost += packet.sent_bytes
        self.bytes_in_flight = self._delivery.in_flight

    def on_persistent_congestion(self) -> None:
        """Nothing arrived for long (RFC 9002 section 7.6)."""
        self.congestion_window = _LEAST_WINDOW * self.pacer.size

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """A round trip took so long: that of the last packet that arrived."""
        if not self._tells:
            return
        if self._least == math.inf:
            self._looked_at = now
            self.pacer.rate = _HIGH * self.congestion_window / rtt
        if rtt <= self._least or now > self._least_at + _LEAST_STAYS:
            self._least, self._least_at = rtt, now

    # The model of the path

    def _begin_round(self, sample: Sample) -> None:
        self._round += 1
        self._round_ends = self._delivery.delivered
        while len(self._rates) > 1 and self._rates[0][0] <= self._round - _RATE_ROUNDS:
            self._rates.popleft()
        self._count_loss()
        if self._phase is not Phase.STARTUP or sample.is_app_limited:
            return
        if self.rate >= self._full_rate * _FULL_GAIN:
            self._full_rate, self._full_rounds = self.rate, 0
        else:
            self._full_rounds += 1

    def _count_loss(self) -> None:
        delivered, lost = self._counted
        lost = self._delivery.lost - lost
        seen = self._delivery.delivered - delivered + lost
        if seen < _TELLS_LOSS * self.pacer.size:
            return
        self._counted = self._delivery.delivered, self._delivery.lost
        self._loss += _LOSS_WEIGHT * (lost / seen - self._loss)
        if self._rates and self._loss > MUCH_LOSS:
            self._full_rounds = _FULL_ROUNDS
            self._rates = deque([(self._round, max(_BETA * self.rate, self._quickest))])
        self._quickest = 0.0

    def _learn(self, sample: Sample) -> None:
        self._quickest = max(self._quickest, sample.rate)
        if not sample.rate or (sample.is_app_limited and sample.rate <= self.rate):
            return
        while self._rates and self._rates[-1][1] <= sample.rate:
            self._rates.pop()
        self._rates.append((self._round, sample.rate))

    def _was_asked(self, packet: QuicSentPacket) -> bool:
        """Whether it left while this side asked for more."""
        begin, end = self._asked
        return begin <= (packet.sent_time or 0.0) < end

    def _found_full(self) -> bool:
        seen = self._asked_delivered + self._asked_lost
        usual = self._loss * seen
        return self._asked_lost > max(usual + _FOUND_LOSS * seen, _FOUND_PACKETS * self.pacer.size)

    # The phases

    def _move(self, now: float) -> None:
        held = self.rate * self._least
        took = now - self._phase_at
        is_drained = self.bytes_in_flight <= held
        match self._phase:
            case Phase.STARTUP if self._full_rounds >= _FULL_ROUNDS:
                self._begin(Phase.DRAIN, now)
            case Phase.DRAIN if is_drained:
                self._begin(Phase.STEADY, now)
            case Phase.UP:
                self._ask(now)
            case Phase.DOWN if is_drained or took > _MOST_DOWN * self._least:
                self._begin(Phase.STEADY, now)
            case Phase.STEADY:
                self._stay(now, held)
            case Phase.LEAST:
                self._look(now, held)
        if (
            self._phase is not Phase.LEAST
            and now - max(self._looked_at, self._least_at) > _LEAST_EVERY
        ):
            self._looks_until = math.inf
            self._begin(Phase.LEAST, now)

    def _ask(self, now: float) -> None:
        """For as long as it brings something."""
        is_measured = self._round >= self._phase_round + 2
        if is_measured and self.rate >= _UP_GAIN * self._asked_rate:
            self._asked_rate, self._phase_round = self.rate, self._round - 1
        elif is_measured or self._found_full():
            self._asked = self._asked[0], now
            self._begin(Phase.DOWN, now)

    def _stay(self, now: float, held: float) -> None:
        rounds = self._round - self._phase_round
        if rounds == 2:
            most = min(_STEADY_MOST, max(_STEADY_ROUNDS, held / self.pacer.size))
            self._steady_rounds = int(most) if self._found_full() else _STEADY_ROUNDS
        if rounds >= self._steady_rounds:
            self._asked, self._asked_delivered, self._asked_lost = (now, math.inf), 0, 0
            self._asked_rate = self.rate
            self._begin(Phase.UP, now)

    def _look(self, now: float, held: float) -> None:
        if self._looks_until == math.inf and self.bytes_in_flight <= _LEAST_GAIN * held:
            self._looks_until = now + max(_LEAST_FOR, self._least)
        if now >= self._looks_until:
            self._looked_at = now
            is_full = self._full_rounds >= _FULL_ROUNDS
            self._begin(Phase.STEADY if is_full else Phase.STARTUP, now)

    def _begin(self, phase: Phase, now: float) -> None:
        self._phase, self._phase_at, self._phase_round = phase, now, self._round

    def _set(self, acked: int) -> None:
        is_starting = self._phase is Phase.STARTUP
        rate = _RATE_GAINS[self._phase] * self.rate
        if not is_starting or rate > self.pacer.rate:
            self.pacer.rate = rate
        target = _WINDOW_GAINS.get(self._phase, _WINDOW_GAIN) * self.rate * self._least
        if self._phase is not Phase.LEAST:
            target += _WINDOW_GAIN * self.rate * LATENESS + 3 * self.pacer.at_once()
            target += min(self._bunches.most, self.rate * _MOST_BUNCH)
        target = max(target, _LEAST_WINDOW * self.pacer.size)
        grown = self.congestion_window + acked
        if not is_starting or grown < target:
            self.congestion_window = int(min(grown, target))


register_congestion_control(NAME, Bbr)
