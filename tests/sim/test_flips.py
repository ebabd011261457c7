"""Each bit of a datagram of each kind, flipped alone: no field of any header may be left unguarded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from nat_traversal.errors import WireError
from nat_traversal.wire.datagrams import FRAMES, RELAYED, Kind, decode, encode
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import MethodName
from tests import seeds
from tests.mutations import Targets, a_world_with_every_kind, a_world_with_openers
from tests.sim.network import Packet
from tests.sim.world import World
from tests.unit.bundled import bundled

(PLAIN,) = bundled([(1, 7, b"payload"), (1, 8, b"more")], 100)
"""Two datagrams in a bundle: inside, every kind of frame is sealed alike."""
MOST = 4
"""Recorded datagrams of one kind whose every bit is flipped: those of a kind differ in values alone, and `make fuzz` takes all."""


OF_THEIR_OWN = {Kind.KNOCK, Kind.OPENER, Kind.SAMPLE}
"""Kinds that are said in a world of their own; None stands for the others."""


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


def a_world_for(kind: Kind | None) -> World:
    """A pair that says it."""
    if kind is Kind.KNOCK:
        methods = (MethodName.PORT_MAPPING.value,)
        return World(nat_a="APDM+APDF+port-mapping", nat_b="EIM+APDF", methods=methods)
    if kind is Kind.OPENER:
        return a_world_with_openers()
    return a_world_with_every_kind() if kind is Kind.SAMPLE else World(relaying=Relaying.EARLY)


def history(
    kind: Kind | None, world: World, most: int = 3
) -> tuple[list[tuple[float, str, bytes]], int]:
    """All that a pair and its server send, and how many forged datagrams overtook the first `most` of that kind.
    They overtake what a relay hands on behind it: only the other host can tell what is forged."""
    seen = struck = 0

    def forge(packet: Packet, data: bytes) -> Iterator[bytes]:
        nonlocal seen, struck
        at_relay = kind in RELAYED and packet.destination in world.net.server_sockets
        if data[0] != kind or seen == most or at_relay:
            return
        seen += 1
        for octets in flipped(data):
            if not is_the_same(octets, data):
                struck += 1
                yield octets

    world.net.overtaken_by = forge
    a, b = world.pair()
    world.connect(a, b)
    for sender, receiver in ((a, b), (b, a)):
        assert world.carries_data(sender, receiver)
    world.run(7.0)
    a.stop()
    world.run(7.0)
    sent = [(each.sent_at, each.sender, encode(each.datagram)) for each in world.net.log]
    return sent, struck


@cache
def undisturbed(kind: Kind | None) -> list[tuple[float, str, bytes]]:
    """All that is sent in that world where nothing is forged."""
    sent, none = history(None, a_world_for(kind))
    assert none == 0
    return sent


def is_the_same(octets: bytes, original: bytes) -> bool:
    """Only bits that are reserved differ."""
    try:
        return encode(decode(octets)) == original
    except WireError:
        return False


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.BUNDLE}), ids=lambda kind: kind.name)
def test_flips_that_overtake_the_datagram_itself_change_nothing_that_anybody_sends(
    kind: Kind,
) -> None:
    """From the right source, in the very state that waits for it."""
    sent, struck = history(kind, a_world_for(kind))
    assert struck > 80, "that kind came"
    assert sent == undisturbed(kind if kind in OF_THEIR_OWN else None)


@pytest.mark.seeded
@pytest.mark.parametrize("kind", sorted(set(Kind) - FRAMES), ids=lambda kind: kind.name)
def test_any_other_datagram_with_one_flipped_bit_changes_nothing_afterwards_either(
    kind: Kind,
) -> None:
    """In states that do not wait for it, and from elsewhere. Of a kind that came more often, `MOST` are taken from all of
    the recording."""
    recorded = [octets for octets in targets().recorded if octets[0] == kind]
    assert recorded
    for octets in seeds.every(-(-len(recorded) // MOST), recorded):
        for struck in flipped(octets):
            targets().strike(struck)
