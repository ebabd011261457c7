"""Consent to a path: when the peer is asked, what renews it, what ends it."""

from __future__ import annotations

import itertools
import random

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.consent import Consent
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint

SETTINGS = ClientSettings()

PAIR = NominatedPair(UdpSocket(3), Endpoint("198.51.100.2", 1), b"peer")


def new_consent() -> Consent:
    return Consent(PAIR, SETTINGS, random.Random(0), now=0.0)


def ping(consent: Consent, now: float) -> bytes:
    """The transaction of the ping that falls due."""
    (action,) = consent.due(now)
    assert isinstance(action, do.SendFrame)
    assert (action.kind, action.generation, len(action.plain)) == (Kind.PING, 3, 8)
    return action.plain


def test_first_ping_comes_after_a_jittered_interval() -> None:
    firsts = {Consent(PAIR, SETTINGS, random.Random(seed), 0.0).deadline for seed in range(50)}
    assert len(firsts) == 50
    assert 0.8 * SETTINGS.ping_interval <= min(firsts) < max(firsts) <= 1.2 * SETTINGS.ping_interval


def test_nothing_is_sent_before_the_deadline() -> None:
    consent = new_consent()
    assert consent.due(consent.deadline - 0.01) == []


def test_unanswered_ping_is_repeated_each_second_until_consent_expires() -> None:
    consent = new_consent()
    sent = []
    while not consent.has_expired(consent.deadline):
        sent.append(consent.deadline)
        ping(consent, consent.deadline)
    assert consent.deadline == SETTINGS.consent
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert pauses == pytest.approx([SETTINGS.ping_repeat] * len(pauses))
    assert len(sent) > 20


def test_silence_is_told_once_and_again_after_an_answer() -> None:
    consent = new_consent()
    asked = ping(consent, 6.0)
    assert not consent.falls_silent(6.0 + SETTINGS.silent_after - 0.1)
    assert consent.falls_silent(6.0 + SETTINGS.silent_after)
    assert not consent.falls_silent(6.0 + SETTINGS.silent_after)
    consent.arrived(Kind.PONG, asked, 14.0)
    assert not consent.falls_silent(14.0 + SETTINGS.silent_after)
    ping(consent, 21.0)
    assert consent.falls_silent(21.0 + SETTINGS.silent_after)


def test_answered_ping_renews_consent_and_brings_calm() -> None:
    consent = new_consent()
    asked = ping(consent, 6.0)
    assert consent.arrived(Kind.PONG, asked, 6.5) == []
    assert (
        6.5 + 0.8 * SETTINGS.ping_interval <= consent.deadline <= 6.5 + 1.2 * SETTINGS.ping_interval
    )
    assert not consent.has_expired(6.0 + SETTINGS.consent)
    assert consent.has_expired(6.5 + SETTINGS.consent)


def test_pong_counts_once_and_only_for_an_own_ping() -> None:
    consent = new_consent()
    asked = ping(consent, 6.0)
    for plain in (bytes(8), b"", asked[:7], asked[::-1]):
        assert consent.arrived(Kind.PONG, plain, 7.0) == []
    assert consent.has_expired(SETTINGS.consent)
    assert consent.arrived(Kind.PONG, asked, 7.0) == []
    assert consent.arrived(Kind.PONG, asked, 20.0) == []
    assert consent.has_expired(7.0 + SETTINGS.consent)


def test_peers_ping_is_answered_but_keeps_nothing() -> None:
    """It proves that the peer speaks, not that it hears."""
    consent = new_consent()
    assert consent.arrived(Kind.PING, b"12345678", 29.0) == [PAIR.send(Kind.PONG, b"12345678")]
    assert consent.has_expired(SETTINGS.consent)


def test_a_ping_s_padding_is_not_sent_back() -> None:
    """A long one asks whether long frames arrive; the answer need not be as long."""
    consent = new_consent()
    assert consent.arrived(Kind.PING, b"12345678" + bytes(900), 1.0) == [
        PAIR.send(Kind.PONG, b"12345678")
    ]


def test_a_ping_cut_short_is_not_answered() -> None:
    assert new_consent().arrived(Kind.PING, b"1234567", 1.0) == []


@pytest.mark.parametrize("kind", [Kind.PING, Kind.PONG, Kind.CONTROL])
def test_any_frame_shows_that_the_peer_has_proof(kind: Kind) -> None:
    consent = new_consent()
    assert not consent.was_heard
    consent.arrived(kind, b"", 1.0)
    assert consent.was_heard


def test_doubt_is_settled_within_seconds_either_way() -> None:
    consent = new_consent()
    consent.doubt(10.0)
    assert consent.deadline == 10.0
    first = ping(consent, 10.0)
    assert consent.deadline == 10.0 + SETTINGS.doubt_interval
    assert consent.has_expired(10.0 + SETTINGS.doubt_within)
    consent.arrived(Kind.PONG, first, 10.2)
    assert not consent.has_expired(10.0 + SETTINGS.doubt_within)
    assert consent.has_expired(10.2 + SETTINGS.consent)


def test_pong_to_a_ping_from_before_the_doubt_settles_nothing() -> None:
    consent = new_consent()
    old = ping(consent, 6.0)
    consent.doubt(7.0)
    consent.arrived(Kind.PONG, old, 7.1)
    assert consent.has_expired(7.0 + SETTINGS.doubt_within)


def test_doubt_prolongs_nothing() -> None:
    consent = new_consent()
    consent.doubt(SETTINGS.consent - 1.0)
    assert consent.has_expired(SETTINGS.consent)


def test_the_jitter_is_the_mean_change_from_one_round_trip_to_the_next() -> None:
    consent = new_consent()
    assert consent.jitter is None
    for number, round_trip in enumerate((0.05, 0.07, None, 0.04, 0.04)):
        now = consent.deadline
        asked = ping(consent, now)
        if round_trip is not None:
            consent.arrived(Kind.PONG, asked, now + round_trip)
        assert number or consent.jitter is None, "one round trip has no change"
    assert consent.jitter == pytest.approx((0.02 + 0.03 + 0.0) / 3)


def test_the_loss_is_told_from_pings_that_had_their_time() -> None:
    consent = new_consent()
    assert consent.loss(0.0) is None
    now = consent.deadline
    for number in range(40):
        asked = ping(consent, now)
        assert number or consent.loss(now + 0.5) is None, "its answer may be on its way"
        if number % 4:
            consent.arrived(Kind.PONG, asked, now + 0.1)
        now = consent.deadline
    assert consent.loss(now + 2.0) == 0.25
