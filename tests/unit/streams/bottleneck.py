"""Flows of packets that share one link with a queue, on a virtual clock: congestion control alone, without QUIC."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from aioquic.quic.congestion.base import create_congestion_control
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.quic.recovery import QuicPacketPacer
from aioquic.tls import Epoch

from nat_traversal.streams.bbr import Bbr
from tests.sim.clock import Clock

SIZE = 1200
"""Octets of each packet."""
_THRESHOLD = 3
"""A packet is lost once one that was sent so many later has arrived (RFC 9002 section 6.1.1)."""


@dataclass
class Link:
    """`rate`: octets a second. `room`: octets of its queue. `way`: seconds there, and as many back. `loss`: the part of
    packets that vanish for no reason."""

    clock: Clock
    rate: float
    room: float
    way: float = 0.02
    loss: float = 0.0
    free_at: float = 0.0
    carried: int = 0
    dropped: int = 0
    """For want of room."""
    waited: float = 0.0
    """Seconds in the queue, of all packets together."""
    rng: random.Random = field(default_factory=lambda: random.Random(5))

    def carry(self) -> float | None:
        """When a packet that leaves now is there; None: never."""
        now = self.clock.now
        if self.rng.random() < self.loss:
            return None
        waits = max(0.0, self.free_at - now)
        if waits * self.rate + SIZE > self.room:
            self.dropped += 1
            return None
        self.carried += 1
        self.waited += waits
        self.free_at = max(self.free_at, now) + SIZE / self.rate
        return self.free_at + self.way

    @property
    def mean_wait(self) -> float:
        return self.waited / max(1, self.carried)


class Flow:
    """A sender that always has something to send, from `start` on, and what its receiver has."""

    def __init__(self, link: Link, control: str, start: float = 0.0) -> None:
        self._link, self._clock = link, link.clock
        self.control = create_congestion_control(control, max_datagram_size=SIZE)
        self._pacer: Any = QuicPacketPacer(max_datagram_size=SIZE)
        if isinstance(self.control, Bbr):
            self._pacer = self.control.pacer
        self._number = 0
        self._in_flight: dict[int, QuicSentPacket] = {}
        self._smoothed = 0.0
        self._wakes_at = -1.0
        self.arrived = 0
        """Octets."""
        self._clock.at(start, self._send)

    def _send(self) -> None:
        now = self._clock.now
        sent = 0
        while self.control.bytes_in_flight + sent * SIZE + SIZE <= self.control.congestion_window:
            when = self._pacer.next_send_time(now)
            if when is not None:
                self._wake(when)
                break
            self._pacer.update_after_send(now)
            sent += 1
        for _ in range(sent):
            self._one(now)
        if isinstance(self.control, Bbr):
            self.control.built(is_held=True)
        if not self._in_flight:
            self._wake(now + 0.5)

    def _one(self, now: float) -> None:
        number, self._number = self._number, self._number + 1
        packet = self._in_flight[number] = QuicSentPacket(
            Epoch.ONE_RTT, True, True, False, number, QuicPacketType.ONE_RTT, now, SIZE
        )
        self.control.on_packet_sent(packet=packet)
        there = self._link.carry()
        if there is not None:
            self._clock.at(there + self._link.way, lambda: self._acknowledged(number))
        else:
            self._clock.at(now + 1.0, lambda: self._lost(number))  # if nothing comes behind it

    def _acknowledged(self, number: int) -> None:
        packet = self._in_flight.pop(number, None)
        if packet is None:
            return
        now = self._clock.now
        self.arrived += SIZE
        self.control.on_packet_acked(now=now, packet=packet)
        assert packet.sent_time is not None
        rtt = now - packet.sent_time
        self._smoothed = self._smoothed * 7 / 8 + rtt / 8 if self._smoothed else rtt
        self.control.on_rtt_measurement(now=now, rtt=rtt)
        self._gone(list(takewhile(lambda each: each <= number - _THRESHOLD, self._in_flight)))
        self._pacer.update_rate(
            congestion_window=self.control.congestion_window, smoothed_rtt=self._smoothed
        )
        self._send()

    def _lost(self, number: int) -> None:
        if number in self._in_flight:
            self._gone([number])
            self._send()

    def _gone(self, numbers: list[int]) -> None:
        if numbers:
            packets = [self._in_flight.pop(number) for number in numbers]
            self.control.on_packets_lost(now=self._clock.now, packets=packets)

    def _wake(self, when: float) -> None:
        if not self._clock.now < self._wakes_at <= when:
            self._wakes_at = when
            self._clock.at(when, self._send)
