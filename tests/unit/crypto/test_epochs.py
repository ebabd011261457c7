"""Epochs: keys are renewed without a lost frame, and what was left is dropped."""

from __future__ import annotations

import random

import pytest

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.epochs import Epochs, EpochSettings
from nat_traversal.crypto.schedule import DirectionKeys, PathKeys
from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.wire.offers import Suite

DATA = 0xC7
SETTINGS = EpochSettings(frames=100, seconds=60.0, linger=3.0)
ONE, TWO = DirectionKeys(b"1" * 32, b"a" * 32), DirectionKeys(b"2" * 32, b"b" * 32)
CONNECTIONS = b"aaaa", b"bbbb"


def ends(suite: Suite = Suite.AES_256_GCM) -> tuple[Epochs, Epochs]:
    """The initiator's and the responder's."""
    keys = PathKeys(ONE, TWO, b"c" * 32, b"t" * 32), PathKeys(TWO, ONE, b"c" * 32, b"t" * 32)
    first, second = (
        Epochs(
            suite,
            keys[index],
            is_initiator=index == 0,
            ours=CONNECTIONS[index],
            theirs=CONNECTIONS[1 - index],
            rng=random.Random(index),
            generate=None if suite is Suite.NONE else KeyPair.generate,
            now=0.0,
            settings=SETTINGS,
            unsealed_kinds={DATA},
        )
        for index in (0, 1)
    )
    return first, second


def passes(sender: Epochs, receiver: Epochs, now: float) -> bool:
    """Whether a frame that leaves now is opened at the other end."""
    return opens(receiver, sender.sealer.seal(DATA, b"x"), now)


def opens(receiver: Epochs, frame: bytes, now: float) -> bool:
    return bool(receiver.open(frame, now))


def test_new_keys_come_after_an_hour_or_so_many_frames_in_either_direction() -> None:
    ours, theirs = ends()
    assert ours.due(59.9) == []
    assert len(ours.due(60.0)) == 1
    ours, theirs = ends()
    for _ in range(101):
        assert passes(theirs, ours, 1.0)
    assert theirs.due(1.0) == []
    assert len(ours.due(1.0)) == 1


def test_no_frame_is_lost_while_keys_change() -> None:
    ours, theirs = ends()
    late = ours.sealer.seal(DATA, b"late"), theirs.sealer.seal(DATA, b"late")
    (asked,) = ours.due(60.0)
    assert passes(ours, theirs, 60.0)
    (answer,) = theirs.control(asked, 60.1)
    # The responder still seals with the old keys: the initiator may not have the answer yet.
    assert passes(theirs, ours, 60.1)
    assert passes(ours, theirs, 60.1)
    assert ours.control(answer, 60.2) == []
    assert passes(theirs, ours, 60.2)
    assert passes(ours, theirs, 60.3)
    assert passes(theirs, ours, 60.3)
    assert (ours.epoch, theirs.epoch) == (1, 1)
    assert opens(theirs, late[0], 60.4)
    assert opens(ours, late[1], 60.4)


def test_the_old_keys_are_dropped_after_they_have_lingered() -> None:
    ours, theirs = ends()
    late = [ours.sealer.seal(DATA, b"late") for _ in range(2)]
    (asked,) = ours.due(60.0)
    (answer,) = theirs.control(asked, 60.1)
    ours.control(answer, 60.2)
    assert passes(ours, theirs, 60.3)
    theirs.due(63.2)
    assert opens(theirs, late[0], 63.2)
    assert theirs.deadline == pytest.approx(63.3)
    theirs.due(63.3)
    assert not opens(theirs, late[1], 63.3)
    assert theirs.counters.stranger == 1


def test_repeated_and_foreign_messages_about_keys_change_nothing() -> None:
    ours, theirs = ends()
    (asked,) = ours.due(60.0)
    assert ours.due(60.0) == []
    (answer,) = theirs.control(asked, 60.1)
    assert theirs.control(asked, 60.1) == []
    assert ours.control(asked, 60.1) == []
    ours.control(answer, 60.2)
    ours.control(answer, 60.2)
    assert passes(ours, theirs, 60.3)
    assert passes(theirs, ours, 60.3)
    with pytest.raises(WireError, match="39 octets, not 38"):
        theirs.control(asked[:-1], 60.4)


def test_ones_own_key_is_refused() -> None:
    ours, _ = ends()
    (asked,) = ours.due(60.0)
    mirrored = b"\x02" + asked[1:]
    with pytest.raises(KeyRefusedError, match="this side's own"):
        ours.control(mirrored, 60.1)


def test_many_epochs_follow_each_other() -> None:
    ours, theirs = ends()
    for number in range(1, 50):
        now = number * 60.0
        (asked,) = ours.due(now)
        (answer,) = theirs.control(asked, now)
        ours.control(answer, now)
        for _ in range(3):
            assert passes(ours, theirs, now + 1)
            assert passes(theirs, ours, now + 1)
        ours.due(now + 5)
        theirs.due(now + 5)
    assert ours.epoch == theirs.epoch == 49


def test_without_encryption_there_is_nothing_to_renew() -> None:
    ours, theirs = ends(Suite.NONE)
    assert ours.due(60.0) == theirs.due(60.0) == []
    assert passes(ours, theirs, 61.0)
