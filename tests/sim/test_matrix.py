"""All ordered pairs of NATs, on a calm network and on a bad one."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire.datagrams import Confirm, Hello
from natlab.behavior import NINE
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.model import Admission
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from natlab.oracle.prediction import Prediction
from natlab.presets import PRESETS, preset
from tests.seeds import every, seeds
from tests.sim.client import Client
from tests.sim.network import Weather
from tests.sim.world import World

PAIRS = list(itertools.product(PRESETS, repeat=2))
BAD_WEATHER = Weather(loss=0.2, duplication=0.1, reordering=0.1, jitter=0.05, segments=True)
_NAMED = {preset(name).behavior for name in PRESETS}
ALL_PAIRS = [
    *PAIRS,
    *(
        pair
        for pair in itertools.product(NINE, repeat=2)
        if not {preset(name).behavior for name in pair} <= _NAMED
    ),
]
"""Without pairs of the nine that `PAIRS` has under other names: they would be the same to the octet."""
POSSIBLE = [pair for pair in ALL_PAIRS if predict(*pair).outcome is Outcome.CONNECTED]
IMPOSSIBLE = [
    pair
    for pair in ALL_PAIRS
    if predict(*pair).outcome is Outcome.FAILED and pair != ("linux-masquerade",) * 2
]
"""Pairs that no loss can help: one side's port for the other cannot be known."""
FAR = 0.25
"""Seconds of a round trip between the hosts, so long that HELLO 1 comes after HELLO 2 has left."""
BETTER_FAR_APART = [
    (nat, "linux-masquerade") for nat in ("port-restricted-cone", "home-router", "linux-masquerade")
]
"""Round 1 opens these there, though the NAT of B would take a HELLO 1 that comes first for its router's own."""
ONE_ATTEMPT = 15.0
"""Seconds in which a client has to know how an attempt ends."""


def assert_agreed(a: Client, b: Client) -> None:
    """Connected by the same round over the two ends of one path, or neither."""
    assert a.is_connected == b.is_connected
    if a.is_connected:
        assert (a.path.attempt, a.path.round, a.path.binding) == (
            b.path.attempt,
            b.path.round,
            b.path.binding,
        )


def assert_sent(world: World, prediction: Prediction) -> None:
    """The first transmission of every step, from whom, and what the other NAT did with it.

    The model leaves out A's answer to a CONFIRM, which A owes when it had not heard HELLO 2.
    """
    role_b = {1: "host_b", 2: "host_a"}
    seen: dict[tuple[int, str, str], Admission] = {}
    for packet in world.between_peers():
        datagram = packet.datagram
        if isinstance(datagram, Hello):
            name = f"HELLO {datagram.step}"
        elif isinstance(datagram, Confirm) and packet.sender == role_b[datagram.round]:
            name = "CONFIRM"
        else:
            continue
        if packet.arrivals:  # else it is still on its way
            seen.setdefault((datagram.round, name, packet.sender), packet.arrivals[0][2])
    predicted: dict[tuple[int, str, str], Admission] = {}
    for step in prediction.steps:
        predicted.setdefault((step.round, step.name, step.sender), step.admission)
    assert seen == predicted


@pytest.mark.parametrize(("nat_a", "nat_b"), ALL_PAIRS)
def test_calm_network_sends_and_shows_what_the_model_predicts(nat_a: str, nat_b: str) -> None:
    goes_as_predicted(World(nat_a=nat_a, nat_b=nat_b), predict(nat_a, nat_b))


@pytest.mark.parametrize(
    ("nat_a", "nat_b"), dict.fromkeys([*every(3, ALL_PAIRS), *BETTER_FAR_APART])
)
def test_hosts_far_apart_send_and_see_what_the_model_predicts(nat_a: str, nat_b: str) -> None:
    goes_as_predicted(
        World(nat_a=nat_a, nat_b=nat_b, p=FAR), predict(nat_a, nat_b, crossing=ROUNDS)
    )


def goes_as_predicted(world: World, prediction: Prediction) -> None:
    """One attempt: every packet, and its end."""
    a, b = world.pair()
    world.run(8.0)  # one attempt; the first pause before another is longer than 2.5 s
    assert_sent(world, prediction)
    if prediction.outcome is Outcome.CONNECTED:
        world.clock.run_to(ONE_ATTEMPT)
        assert_agreed(a, b)
        assert a.is_connected
        assert a.path.round == prediction.round
        assert not a.told(note.AttemptFailed)
        assert world.carries_data(a, b)
        assert world.carries_data(b, a)
    else:
        assert not a.told(note.PathEstablished)
        assert not b.told(note.PathEstablished)
        assert a.told(note.AttemptFailed)[0].code == "no-path"


@pytest.mark.parametrize(("nat_a", "nat_b"), BETTER_FAR_APART)
def test_the_first_round_opens_an_order_sensitive_nat_far_away(nat_a: str, nat_b: str) -> None:
    assert predict(nat_a, nat_b).round != 1
    assert predict(nat_a, nat_b, crossing=ROUNDS).round == 1


@seeds(1)
@pytest.mark.parametrize(("nat_a", "nat_b"), every(2, POSSIBLE))
def test_bad_network_stops_no_pair_that_can_connect(nat_a: str, nat_b: str, seed: int) -> None:
    """In one attempt, without a retry. A lost HELLO 1 may let round 1 succeed that else fails."""
    world = World(nat_a=nat_a, nat_b=nat_b, seed=seed, weather=BAD_WEATHER)
    a, b = world.pair()
    world.connect(a, b, within=ONE_ATTEMPT)
    assert_agreed(a, b)
    expected = predict(nat_a, nat_b).round
    assert expected is not None
    assert a.path.round <= expected
    world.run(60.0)
    assert_agreed(a, b)
    for client in (a, b):
        assert not client.told(note.AttemptFailed)
        assert len(client.told(note.PathEstablished)) == 1
        assert not client.told(note.PathLost)
    world.net.weather = Weather()
    world.run(0.5)
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@seeds(1)
@pytest.mark.parametrize(("nat_a", "nat_b"), every(4, IMPOSSIBLE))
def test_bad_network_makes_no_impossible_pair_claim_a_path(
    nat_a: str, nat_b: str, seed: int
) -> None:
    world = World(nat_a=nat_a, nat_b=nat_b, seed=seed, weather=BAD_WEATHER)
    a, b = world.pair()
    world.run(2 * ONE_ATTEMPT)
    for client in (a, b):
        assert not client.told(note.PathEstablished)
        assert client.told(note.AttemptFailed)


@seeds(6)
def test_two_order_sensitive_nats_may_only_agree(seed: int) -> None:
    """Predicted to fail; but where every HELLO 1 is lost behind A's NAT, HELLO 2 is the first to
    come through, and the path is real: `World.check_claim` asks the record for every claim."""
    nat = "linux-masquerade"
    world = World(nat_a=nat, nat_b=nat, seed=seed, weather=BAD_WEATHER)
    a, b = world.pair()
    world.run(60.0)
    world.net.weather = Weather()
    world.run(40.0)
    assert_agreed(a, b)


def test_some_lost_hello_does_connect_two_order_sensitive_nats() -> None:
    nat = "linux-masquerade"
    world = World(nat_a=nat, nat_b=nat)
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello) and packet.datagram.step == 1)
    a, b = world.pair()
    world.connect(a, b, within=5.0)
    assert a.path.round == 1
