"""The roles are swapped as soon as the measured round trips allow it, and no round is killed by that."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.datagrams import Confirm, Hello
from tests.seeds import seeds
from tests.sim.network import Packet, Weather
from tests.sim.process import connected_at
from tests.sim.test_relay import Stream
from tests.sim.world import World

SWAPPED = ("port-restricted-cone", "linux-masquerade")
"""Connected by the round in which host_b speaks first."""
SETTINGS = ServerSettings()


def is_of(round_: int, packet: Packet) -> bool:
    return isinstance(packet.datagram, Hello | Confirm) and packet.datagram.round == round_


@pytest.mark.parametrize(("r", "p"), [(1 / 16, 1 / 32), (3 / 64, 5 / 128)])
def test_swapped_round_connects_within_a_second_of_a_cold_start(r: float, p: float) -> None:
    """Nothing is lost. `swap_within` and 2 R after the order of HELLO 3 the next round begins, and costs what the
    first one costs."""
    world = World(r=r, p=p, nat_a=SWAPPED[0], nat_b=SWAPPED[1])
    a, b = world.pair()
    world.connect(a, b)
    ordered = 1.5 * r + 2 * r  # registered; HELLO 1 and 2 were ordered and sent
    gathered = ordered + SETTINGS.swap_within + 2 * r + r
    assert [client.path.round for client in (a, b)] == [2, 2]
    assert connected_at(a) == pytest.approx(gathered + 1.5 * r + p)  # B of this round
    assert connected_at(b) == pytest.approx(gathered + 1.5 * r + 1.5 * p)
    assert connected_at(b) < 1.0


def test_with_a_server_at_50_ms_and_a_peer_at_40_ms_it_is_less_than_a_second() -> None:
    world = World(r=0.05, p=0.04, nat_a=SWAPPED[0], nat_b=SWAPPED[1])
    a, b = world.pair()
    world.connect(a, b)
    assert max(connected_at(a), connected_at(b)) < 0.9


def test_late_proof_of_round_1_wins_where_round_2_has_none() -> None:
    """P is longer than the server can know; round 2 is lost altogether."""
    world = World(r=1 / 64, p=2.0)
    world.net.drop(lambda packet: is_of(2, packet))
    a, b = world.pair()
    world.run(10.0)
    assert len(a.told(note.RoundStarted)) == len(b.told(note.RoundStarted)) == 2
    assert [client.path.round for client in (a, b)] == [1, 1]
    assert not a.told(note.AttemptFailed)
    assert len(a.sockets) == len(b.sockets) == 1
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@pytest.mark.parametrize("r", [1 / 64, 1 / 8])
@pytest.mark.parametrize("unlucky", ["host_a", "host_b"])
def test_hosts_with_proof_of_different_rounds_agree_on_one(unlucky: str, r: float) -> None:
    """Round 1 opens late, and the last word of either round is lost for a while, to one host each."""
    world = World(r=r, p=0.75, nat_a="full-cone", nat_b="full-cone")
    until = 2.0

    def is_lost(packet: Packet) -> bool:
        if world.clock.now > until or not isinstance(packet.datagram, Hello | Confirm):
            return False
        return packet.datagram.round == (1 if packet.sender != unlucky else 2)

    world.net.drop(is_lost)
    a, b = world.pair()
    streams = Stream(a, b, every=0.05), Stream(b, a, every=0.05)
    world.run(20.0)
    assert a.selected is not None
    assert b.selected is not None
    assert a.path.binding == b.path.binding
    assert len(a.sockets) == len(b.sockets) == 1
    assert not a.told(note.AttemptFailed)
    for stream in streams:
        assert stream.arrived[-1] > stream.sent[-1] - 2 * world.p / stream.every


@seeds(12)
def test_two_rounds_at_once_end_on_one_path(seed: int) -> None:
    """Both can open, and much is lost: every order of proofs comes up."""
    weather = Weather(loss=0.45, reordering=0.2, jitter=0.1)
    world = World(seed=seed, r=1 / 64, p=0.5, nat_a="full-cone", nat_b="full-cone", weather=weather)
    a, b = world.pair()
    world.run(15.0)
    world.net.weather = Weather()
    world.run(5.0)
    if a.selected is None and b.selected is None:
        assert a.told(note.AttemptFailed)
        return
    assert a.path.binding == b.path.binding
    assert len(a.sockets) == len(b.sockets) == 1
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)
