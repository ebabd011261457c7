"""An established path: what ends it, and which of its parts an authentic frame reaches."""

from __future__ import annotations

import random

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths import mtu
from nat_traversal.paths.echo import KEPT
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import two_ends

SETTINGS = ClientSettings()
PAIR = NominatedPair(UdpSocket(3), Endpoint("198.51.100.2", 1), b"peer")


def new_path() -> Path:
    return Path(PAIR, two_ends()[0], SETTINGS, random.Random(0), now=0.0, method="ordered-hello")


def pings(path: Path, now: float) -> list[bytes]:
    """What falls due and asks for a PONG."""
    actions = [each for each in path.due(now) if isinstance(each, do.SendFrame)]
    return [each.plain for each in actions if each.kind is Kind.PING]


def run_until_it_ends(path: Path, *, answer: range) -> float:
    """Answer the pings whose length is in `answer`, at once. Returns when the path has ended."""
    while path.end is None:
        now = path.deadline
        assert now < 10 * SETTINGS.consent, "the path stands for long"
        for plain in pings(path, now):
            if len(plain) in answer:
                path.frame_opened(Kind.PONG, plain[:TRANSACTION_BYTES], now)
    return now


def test_users_datagrams_may_flow_at_once_in_frames_of_the_base_size() -> None:
    use, size = new_path().use(b"instance")
    assert isinstance(use, do.UsePath)
    assert (use.generation, use.remote, use.instance) == (3, PAIR.remote, b"instance")
    assert size == do.SizeFrames(3, mtu.BASE_IPV4)


def test_a_bye_ends_it_and_is_not_answered() -> None:
    path = new_path()
    assert path.frame_opened(Kind.BYE, b"", 1.0) == []
    assert path.end == "the other side closed it"


def test_a_peer_that_answers_nothing_ends_it_when_consent_expires() -> None:
    path = new_path()
    assert run_until_it_ends(path, answer=range(0)) == SETTINGS.consent
    assert path.end == "the other side has stopped answering"


def test_one_that_carries_only_small_frames_is_ended_with_the_size_it_should_carry() -> None:
    path = new_path()
    run_until_it_ends(path, answer=range(100))
    assert path.end is not None
    assert "its MTU is too small" in path.end


def test_pong_to_a_probe_renews_no_consent() -> None:
    """A probe's PONG is for the search alone: consent is asked for by itself."""
    path = new_path()
    probes = [plain for plain in pings(path, 0.0) if len(plain) > TRANSACTION_BYTES]
    assert probes
    for plain in probes:
        path.frame_opened(Kind.PONG, plain[:TRANSACTION_BYTES], 20.0)
    pings(path, SETTINGS.consent)
    assert path.end == "the other side has stopped answering"


@pytest.mark.parametrize("kind", [Kind.PING, Kind.PONG])
def test_a_frame_of_the_peer_shows_that_it_knows(kind: Kind) -> None:
    path = new_path()
    assert not path.peer_knows
    path.frame_opened(kind, bytes(TRANSACTION_BYTES), 1.0)
    assert path.peer_knows


def test_a_peer_that_has_left_may_have_known() -> None:
    path = new_path()
    path.doubt(1.0)
    assert path.peer_knows


def test_silence_is_told_while_consent_lasts_and_not_with_its_end() -> None:
    early, late = new_path(), new_path()
    for path in (early, late):
        assert pings(path, 6.0)
    assert early.falls_silent(6.0 + SETTINGS.silent_after)
    assert not late.falls_silent(SETTINGS.consent)


def test_farewell_is_a_bye_to_the_peer() -> None:
    assert new_path().farewell() == [PAIR.send(Kind.BYE)]


def test_one_that_does_not_carry_the_given_size_is_ended_with_what_to_give() -> None:
    settings = ClientSettings(mtu=1_400)
    path = Path(PAIR, two_ends()[0], settings, random.Random(0), now=0.0, method="ordered-hello")
    run_until_it_ends(path, answer=range(100))
    assert path.end is not None
    assert "IP packets of 1400 octets do not pass on it: give a smaller --mtu" in path.end


def test_a_user_s_ping_is_told_once_when_it_is_answered_and_measures_nothing_else() -> None:
    path = new_path()
    (ping,) = path.ask(1.0)
    assert isinstance(ping, do.SendFrame)
    assert path.frame_opened(Kind.PONG, b"another!".ljust(TRANSACTION_BYTES), 1.02) == []

    assert path.frame_opened(Kind.PONG, ping.plain, 1.25) == [do.Tell(note.PeerAnswered(3, 0.25))]
    assert path.frame_opened(Kind.PONG, ping.plain, 1.06) == []
    assert path.round_trip is None


def test_the_newest_pings_of_a_user_alone_are_waited_for() -> None:
    path = new_path()
    asked = [path.ask(float(each))[0] for each in range(KEPT + 1)]
    first, second = (each.plain for each in asked[:2] if isinstance(each, do.SendFrame))

    assert path.frame_opened(Kind.PONG, first, 20.0) == []
    assert path.frame_opened(Kind.PONG, second, 20.0) != []
