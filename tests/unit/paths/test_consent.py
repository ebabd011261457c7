"""An established path: when it is probed, what keeps it, what ends it."""

from __future__ import annotations

import itertools
import random

import pytest

from nat_traversal.paths.consent import (
    CONSENT_TIMEOUT,
    DOUBT_INTERVAL,
    DOUBT_TIMEOUT,
    PING_INTERVAL,
    REPEAT_INTERVAL,
    SILENT_AFTER,
    Path,
)
from nat_traversal.wire.datagrams import Bye, Ping, Pong
from nat_traversal.wire.endpoint import Endpoint

TOKEN = bytes(range(16))
PEER, OTHER = Endpoint("198.51.100.2", 1), Endpoint("198.51.100.2", 2)


def new_path() -> Path:
    return Path(TOKEN, PEER, random.Random(0), now=0.0)


def ping(path: Path, now: float) -> Ping:
    (datagram,) = path.ping_if_due(now)
    assert isinstance(datagram, Ping)
    return datagram


def test_first_ping_comes_after_a_jittered_interval() -> None:
    firsts = {Path(TOKEN, PEER, random.Random(seed), 0.0).deadline for seed in range(50)}
    assert len(firsts) == 50
    assert 0.8 * PING_INTERVAL <= min(firsts) < max(firsts) <= 1.2 * PING_INTERVAL


def test_nothing_is_sent_before_the_deadline() -> None:
    path = new_path()
    assert list(path.ping_if_due(path.deadline - 0.01)) == []


def test_unanswered_ping_is_repeated_each_second_until_consent_expires() -> None:
    path = new_path()
    sent = []
    while not path.has_ended(path.deadline):
        sent.append(path.deadline)
        ping(path, path.deadline)
    assert path.deadline == CONSENT_TIMEOUT
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert pauses == pytest.approx([REPEAT_INTERVAL] * len(pauses))
    assert len(sent) > 20


def test_silence_is_told_once_and_again_after_an_answer() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    assert not path.falls_silent(6.0 + SILENT_AFTER - 0.1)
    assert path.falls_silent(6.0 + SILENT_AFTER)
    assert not path.falls_silent(6.0 + SILENT_AFTER)
    list(path.arrived(Pong(TOKEN, asked.transaction), PEER, 14.0))
    assert not path.falls_silent(14.0 + SILENT_AFTER)
    ping(path, 21.0)
    assert path.falls_silent(21.0 + SILENT_AFTER)


def test_answered_ping_renews_consent_and_brings_calm() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    assert list(path.arrived(Pong(TOKEN, asked.transaction), PEER, 6.5)) == []
    assert 6.5 + 0.8 * PING_INTERVAL <= path.deadline <= 6.5 + 1.2 * PING_INTERVAL
    assert not path.has_ended(6.0 + CONSENT_TIMEOUT)
    assert path.has_ended(6.5 + CONSENT_TIMEOUT)


def test_pong_counts_once_and_only_for_an_own_ping_from_the_peer() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    for pong, source in (
        (Pong(TOKEN, bytes(8)), PEER),
        (Pong(bytes(16), asked.transaction), PEER),
        (Pong(TOKEN, asked.transaction), OTHER),
    ):
        assert list(path.arrived(pong, source, 7.0)) == []
    assert path.has_ended(CONSENT_TIMEOUT)
    assert list(path.arrived(Pong(TOKEN, asked.transaction), PEER, 7.0)) == []
    assert list(path.arrived(Pong(TOKEN, asked.transaction), PEER, 20.0)) == []
    assert path.has_ended(7.0 + CONSENT_TIMEOUT)


def test_peers_ping_is_answered_but_keeps_nothing() -> None:
    """It proves that the peer speaks, not that it hears."""
    path = new_path()
    assert list(path.arrived(Ping(TOKEN, bytes(8)), PEER, 29.0)) == [Pong(TOKEN, bytes(8))]
    assert list(path.arrived(Ping(bytes(16), bytes(8)), PEER, 29.0)) == []
    assert list(path.arrived(Ping(TOKEN, bytes(8)), OTHER, 29.0)) == []
    assert path.has_ended(CONSENT_TIMEOUT)


def test_doubt_is_settled_within_seconds_either_way() -> None:
    path = new_path()
    path.doubt(10.0)
    assert path.deadline == 10.0
    first = ping(path, 10.0)
    assert path.deadline == 10.0 + DOUBT_INTERVAL
    assert path.has_ended(10.0 + DOUBT_TIMEOUT)
    list(path.arrived(Pong(TOKEN, first.transaction), PEER, 10.2))
    assert not path.has_ended(10.0 + DOUBT_TIMEOUT)
    assert path.has_ended(10.2 + CONSENT_TIMEOUT)


def test_pong_to_a_ping_from_before_the_doubt_settles_nothing() -> None:
    path = new_path()
    old = ping(path, 6.0)
    path.doubt(7.0)
    list(path.arrived(Pong(TOKEN, old.transaction), PEER, 7.1))
    assert path.has_ended(7.0 + DOUBT_TIMEOUT)


def test_doubt_prolongs_nothing() -> None:
    path = new_path()
    path.doubt(CONSENT_TIMEOUT - 1.0)
    assert path.has_ended(CONSENT_TIMEOUT)


def test_farewell_is_the_peers_own() -> None:
    path = new_path()
    assert path.is_farewell(path.farewell(), PEER)
    assert not path.is_farewell(path.farewell(), OTHER)
    assert not path.is_farewell(Bye(bytes(16)), PEER)
