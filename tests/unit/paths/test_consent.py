"""An established path: when it is probed, what keeps it, what ends it."""

from __future__ import annotations

import itertools
import random

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.consent import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Bye, Ping, Pong
from nat_traversal.wire.endpoint import Endpoint

SETTINGS = ClientSettings()

TOKEN = bytes(range(16))
PEER, OTHER = Endpoint("198.51.100.2", 1), Endpoint("198.51.100.2", 2)
PAIR = NominatedPair(UdpSocket(3), PEER, TOKEN)


def new_path() -> Path:
    return Path(PAIR, SETTINGS, random.Random(0), now=0.0)


def ping(path: Path, now: float) -> Ping:
    (action,) = path.due(now)
    assert isinstance(action, e.SendDatagram)
    assert (action.destination, action.generation) == (PEER, 3)
    assert isinstance(action.datagram, Ping)
    return action.datagram


def test_first_ping_comes_after_a_jittered_interval() -> None:
    firsts = {Path(PAIR, SETTINGS, random.Random(seed), 0.0).deadline for seed in range(50)}
    assert len(firsts) == 50
    assert 0.8 * SETTINGS.ping_interval <= min(firsts) < max(firsts) <= 1.2 * SETTINGS.ping_interval


def test_nothing_is_sent_before_the_deadline() -> None:
    path = new_path()
    assert path.due(path.deadline - 0.01) == []


def test_unanswered_ping_is_repeated_each_second_until_consent_expires() -> None:
    path = new_path()
    sent = []
    while not path.has_ended(path.deadline):
        sent.append(path.deadline)
        ping(path, path.deadline)
    assert path.deadline == SETTINGS.consent
    pauses = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert pauses == pytest.approx([SETTINGS.ping_repeat] * len(pauses))
    assert len(sent) > 20


def test_silence_is_told_once_and_again_after_an_answer() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    assert not path.falls_silent(6.0 + SETTINGS.silent_after - 0.1)
    assert path.falls_silent(6.0 + SETTINGS.silent_after)
    assert not path.falls_silent(6.0 + SETTINGS.silent_after)
    path.arrived(Pong(TOKEN, asked.transaction), PEER, 14.0)
    assert not path.falls_silent(14.0 + SETTINGS.silent_after)
    ping(path, 21.0)
    assert path.falls_silent(21.0 + SETTINGS.silent_after)


def test_answered_ping_renews_consent_and_brings_calm() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    assert path.arrived(Pong(TOKEN, asked.transaction), PEER, 6.5) == []
    assert 6.5 + 0.8 * SETTINGS.ping_interval <= path.deadline <= 6.5 + 1.2 * SETTINGS.ping_interval
    assert not path.has_ended(6.0 + SETTINGS.consent)
    assert path.has_ended(6.5 + SETTINGS.consent)


def test_pong_counts_once_and_only_for_an_own_ping_from_the_peer() -> None:
    path = new_path()
    asked = ping(path, 6.0)
    for pong, source in (
        (Pong(TOKEN, bytes(8)), PEER),
        (Pong(bytes(16), asked.transaction), PEER),
        (Pong(TOKEN, asked.transaction), OTHER),
    ):
        assert path.arrived(pong, source, 7.0) == []
    assert path.has_ended(SETTINGS.consent)
    assert path.arrived(Pong(TOKEN, asked.transaction), PEER, 7.0) == []
    assert path.arrived(Pong(TOKEN, asked.transaction), PEER, 20.0) == []
    assert path.has_ended(7.0 + SETTINGS.consent)


def test_peers_ping_is_answered_but_keeps_nothing() -> None:
    """It proves that the peer speaks, not that it hears."""
    path = new_path()
    assert path.arrived(Ping(TOKEN, bytes(8)), PEER, 29.0) == [PAIR.send(Pong(TOKEN, bytes(8)))]
    assert path.arrived(Ping(bytes(16), bytes(8)), PEER, 29.0) == []
    assert path.arrived(Ping(TOKEN, bytes(8)), OTHER, 29.0) == []
    assert path.has_ended(SETTINGS.consent)


def test_doubt_is_settled_within_seconds_either_way() -> None:
    path = new_path()
    path.doubt(10.0)
    assert path.deadline == 10.0
    first = ping(path, 10.0)
    assert path.deadline == 10.0 + SETTINGS.doubt_interval
    assert path.has_ended(10.0 + SETTINGS.doubt_within)
    path.arrived(Pong(TOKEN, first.transaction), PEER, 10.2)
    assert not path.has_ended(10.0 + SETTINGS.doubt_within)
    assert path.has_ended(10.2 + SETTINGS.consent)


def test_pong_to_a_ping_from_before_the_doubt_settles_nothing() -> None:
    path = new_path()
    old = ping(path, 6.0)
    path.doubt(7.0)
    path.arrived(Pong(TOKEN, old.transaction), PEER, 7.1)
    assert path.has_ended(7.0 + SETTINGS.doubt_within)


def test_doubt_prolongs_nothing() -> None:
    path = new_path()
    path.doubt(SETTINGS.consent - 1.0)
    assert path.has_ended(SETTINGS.consent)


def test_farewell_is_the_peers_own() -> None:
    path = new_path()
    assert path.farewell() == [PAIR.send(Bye(TOKEN))]
    assert path.is_farewell(Bye(TOKEN), PEER)
    assert not path.is_farewell(Bye(TOKEN), OTHER)
    assert not path.is_farewell(Bye(bytes(16)), PEER)
