"""Each bit of a datagram of each kind, flipped alone: no field of any header may be left unguarded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from nat_traversal.aio.outbox import FRAGMENT
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import FRAMES, Frame, Kind
from tests.mutations import Targets

PLAIN = FRAGMENT.pack(1, 0, 7, 0, 1) + b"payload"
"""The header of a fragment, and a payload: inside, every kind of frame is sealed alike."""


@cache
def targets() -> Targets:
    """Nothing that is dropped changes them."""
    return Targets()


def flipped(octets: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(octets)):
        found = bytearray(octets)
        found[bit // 8] ^= 1 << bit % 8
        yield bytes(found)


@pytest.mark.parametrize("kind", sorted(FRAMES), ids=lambda kind: kind.name)
def test_a_frame_with_one_flipped_bit_opens_nowhere_and_as_it_was_it_does(kind: Kind) -> None:
    """It never came before: that it counts as replayed is no reason to drop it."""
    sender, receiver = targets().established
    sealed = sender.paths[-1][0].epochs.sealer.seal(kind, PLAIN)
    for octets in flipped(sealed):
        targets().strike(octets)
    epochs = receiver.paths[-1][0].epochs
    assert epochs.open(sealed, targets().now) == [(kind, PLAIN)]


@pytest.mark.parametrize("kind", sorted(set(Kind) - FRAMES), ids=lambda kind: kind.name)
def test_any_other_datagram_with_one_flipped_bit_changes_nothing(kind: Kind) -> None:
    recorded = [octets for octets in targets().recorded if octets[0] == kind]
    assert recorded
    assert not any(isinstance(datagrams.decode(octets), Frame) for octets in recorded)
    for octets in recorded:
        for struck in flipped(octets):
            targets().strike(struck)
