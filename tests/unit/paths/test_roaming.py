"""A new source of a path's frames: what is sent there, and when the path moves."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.roaming import (
    ADDRESS_DATAGRAMS,
    ADDRESS_EVERY,
    TRIAL_DATAGRAMS,
    TRIAL_EVERY,
    TRIALS_AT_ONCE,
    Roaming,
)
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint

OLD, NEW, OTHER = (
    Endpoint("192.0.2.1", 5000),
    Endpoint("192.0.2.9", 5000),
    Endpoint("192.0.2.9", 6000),
)
ROUND_TRIP = 0.04


class Rig:
    """A path whose peer's frames are numbered; the clock is the test's."""

    def __init__(self) -> None:
        self.newest = (0, 0)
        pair = NominatedPair(UdpSocket(1), OLD, b"abcd")
        self.roaming = Roaming(pair, random.Random(1), lambda: self.newest)
        self.sent: list[do.SendFrame] = []
        self.now = 0.0

    def heard(self, source: Endpoint = NEW, kind: Kind = Kind.DATA) -> None:
        """The newest frame so far."""
        self.newest = (0, self.newest[1] + 1)
        self.roaming.heard(source, kind, self.now, ROUND_TRIP)
        self.run(0.0)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.roaming.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self._keep(self.roaming.due(self.now))
        self.now = end

    def nonces(self, to: Endpoint | None) -> list[bytes]:
        """Of the pings to there; None: to the old address."""
        return [each.plain for each in self.sent if each.kind is Kind.PING and each.to == to]

    def answer(self, nonce: bytes, source: Endpoint | None) -> bool:
        self.newest = (0, self.newest[1] + 1)
        if source is not None:
            self.roaming.heard(source, Kind.PONG, self.now, ROUND_TRIP)
        return self.roaming.answered(nonce, source, self.now)

    def _keep(self, actions: list[do.Action]) -> None:
        for action in actions:
            assert isinstance(action, do.SendFrame)
            self.sent.append(action)


def test_both_addresses_are_asked_at_once_with_nonces_of_their_own() -> None:
    rig = Rig()
    rig.heard()
    assert len(rig.nonces(NEW)) == len(rig.nonces(None)) == 1
    assert rig.nonces(NEW) != rig.nonces(None)


def test_the_path_moves_once_the_new_one_has_answered_and_the_old_one_has_not() -> None:
    rig = Rig()
    rig.heard()
    rig.run(ROUND_TRIP)
    assert rig.answer(rig.nonces(NEW)[0], NEW)
    rig.run(0.1)
    assert rig.roaming.take_move() is None, "the old one still has time"
    rig.run(0.2)
    assert rig.roaming.take_move() == NEW
    assert rig.roaming.take_move() is None


@pytest.mark.parametrize("source", [None, NEW, OTHER])
def test_it_stays_where_it_is_once_the_old_one_answers_wherever_that_seems_to_come_from(
    source: Endpoint | None,
) -> None:
    rig = Rig()
    rig.heard()
    assert rig.answer(rig.nonces(NEW)[0], NEW)
    rig.answer(rig.nonces(None)[0], source)
    rig.run(10.0)
    assert rig.roaming.take_move() is None


@pytest.mark.parametrize("source", [None, OTHER])
def test_a_nonce_has_to_come_from_where_it_was_sent(source: Endpoint | None) -> None:
    rig = Rig()
    rig.heard()
    assert rig.roaming.answered(rig.nonces(NEW)[0], source, rig.now)
    rig.run(10.0)
    assert rig.roaming.take_move() is None


def test_a_newer_frame_from_the_old_address_keeps_it_there() -> None:
    rig = Rig()
    rig.heard()
    assert rig.answer(rig.nonces(NEW)[0], NEW)
    rig.newest = (0, rig.newest[1] + 1)
    rig.run(10.0)
    assert rig.roaming.take_move() is None


def test_a_source_that_never_answers_gets_ten_datagrams_pongs_included_however_long_it_goes_on() -> (
    None
):
    rig = Rig()
    for _ in range(600):
        rig.heard(kind=Kind.PING)
        for action in rig.roaming.pong(b"12345678", NEW, rig.now):
            assert isinstance(action, do.SendFrame)
            rig.sent.append(action)
        rig.run(0.1)
    assert sum(each.to == NEW for each in rig.sent) == TRIAL_DATAGRAMS


@pytest.mark.parametrize("sources", [2, 17, 40])
def test_a_peer_that_speaks_from_many_sources_in_turn_gets_no_more_to_any(sources: int) -> None:
    """It moves every tenth of a second, and each address that it forges is a victim's."""
    rig = Rig()
    victims = [Endpoint(f"198.51.100.{number}", 53) for number in range(1, sources + 1)]
    for turn in range(3_000):
        source = victims[turn % sources]
        rig.heard(source, Kind.PING)
        for action in rig.roaming.pong(b"nonce", source, rig.now):
            assert isinstance(action, do.SendFrame)
            rig.sent.append(action)
        rig.run(0.1)
    to = Counter(each.to for each in rig.sent if each.to is not None)
    assert len(to) > 1
    assert max(to.values()) <= TRIAL_DATAGRAMS


FORGED = {
    "IPv4": [Endpoint("198.51.100.1", port) for port in range(1, 2001)],
    "IPv6": [Endpoint(f"2001:db8:0:7::{number:x}", 53) for number in range(1, 2001)],
}
"""Ports of one address, and addresses of one home."""


@pytest.mark.parametrize("sources", FORGED.values(), ids=FORGED)
def test_a_peer_that_forges_every_port_of_an_address_draws_a_datagram_in_six_seconds_there(
    sources: list[Endpoint],
) -> None:
    rig = Rig()
    for source in sources:
        rig.heard(source, Kind.PING)
        rig.run(0.5)
    assert sum(each.to is not None for each in rig.sent) <= ADDRESS_DATAGRAMS + 1000 / ADDRESS_EVERY


def test_a_peer_whose_nat_gives_it_a_new_port_each_few_seconds_is_followed_for_an_hour() -> None:
    """Its answers do not count for its address."""
    rig = Rig()
    for port in range(1, 601):
        rig.roaming.pair = replace(rig.roaming.pair, remote=Endpoint(NEW.address, port))
        source = Endpoint(NEW.address, port + 1)
        rig.heard(source)
        rig.run(0.15)  # two were asked by then
        assert rig.answer(rig.nonces(source)[-1], source)
        rig.run(5.85)
        assert rig.roaming.take_move() == source


def test_forged_ports_of_one_address_cost_another_nothing() -> None:
    rig = Rig()
    for source in FORGED["IPv4"][:100]:
        rig.heard(source, Kind.PING)
        rig.run(1.0)
    rig.heard(NEW)
    rig.run(1.5)
    assert len(rig.nonces(NEW)) == 5


def test_a_source_that_answers_may_have_more() -> None:
    rig = Rig()
    rig.heard()
    rig.answer(rig.nonces(NEW)[0], NEW)
    pongs = [action for _ in range(50) for action in rig.roaming.pong(b"12345678", NEW, rig.now)]
    assert len(pongs) == 50


def test_only_the_source_on_trial_gets_a_pong() -> None:
    rig = Rig()
    assert rig.roaming.pong(b"12345678", NEW, rig.now) == []
    rig.heard()
    assert rig.roaming.pong(b"12345678", OTHER, rig.now) == []


def test_trials_begin_four_at_once_and_one_a_second_in_the_long_run() -> None:
    rig = Rig()
    for number in range(3000):
        rig.heard(Endpoint("192.0.2.9", 1024 + number))
        rig.run(0.01)
    asked = {each.to for each in rig.sent} - {None}
    assert len(asked) <= 30.0 / TRIAL_EVERY + TRIALS_AT_ONCE


def test_a_source_tried_in_vain_is_tried_again_when_it_pings_alone() -> None:
    rig = Rig()
    rig.heard()
    rig.answer(rig.nonces(None)[0], None)
    asked = len(rig.nonces(NEW))
    rig.heard()
    assert len(rig.nonces(NEW)) == asked
    rig.heard(kind=Kind.PING)
    assert len(rig.nonces(NEW)) == asked + 1
