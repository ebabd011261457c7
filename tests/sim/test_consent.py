"""A path that one side claims carries something both ways within each consent time.

Nine mappings and filterings against each other (all pairs in `make fuzz`), in bad weather, and with one direction cut. The
arrivals are read from the network's own record, not from what the clients say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from natlab.behavior import NINE
from tests.seeds import every, seeds
from tests.sim.claim import Claim
from tests.sim.client import Client
from tests.sim.network import HELD_BACK, Weather
from tests.sim.server import SERVER
from tests.sim.world import World

SETTINGS = ClientSettings()
HASTY = SETTINGS.with_consent(6.0)
"""The same in a fifth of the time."""

PAIRS = [
    *((*pair, HASTY) for pair in every(8, list(itertools.product(NINE, repeat=2)))),
    *((nat, nat, SETTINGS) for nat in every(4, NINE)),
]
"""Each with one or all, in either place, and some or each with its like as long as consent lasts by default. Pairs differ
only in the way to a path, which `test_matrix.py` has for all; consent does not know the NATs."""
ROUNDING = 1e-9
WEATHER = Weather(loss=0.2, duplication=0.3, reordering=0.1, jitter=0.05, segments=True)
STORM = Weather(loss=0.4, duplication=0.4, reordering=0.2, jitter=0.2, segments=True)


def claims(world: World, client: Client) -> list[tuple[Claim, float, float]]:
    """Each path that was told, with when it was and when it was taken back (or now)."""
    found: list[tuple[Claim, float, float]] = []
    open_claim: tuple[Claim, float] | None = None
    paths = iter(client.claims)
    for at, notice in client.notices:
        if isinstance(notice, note.PathEstablished):
            assert open_claim is None, "two paths at once"
            open_claim = next(paths), at
        elif isinstance(notice, note.PathLost):
            assert open_claim is not None, "lost what was not there"
            found.append((*open_claim, at))
            open_claim = None
    return found + ([(*open_claim, world.clock.now)] if open_claim else [])


def longest_gap(times: Iterable[float], began: float, ended: float) -> float:
    within = sorted(at for at in times if began < at < ended)
    return max(later - at for at, later in itertools.pairwise([began, *within, ended]))


def assert_no_claim_outlives_consent(world: World, consent: float) -> None:
    """Only datagrams count between the hosts, of whatever kind, that reached a socket."""
    for client in world.clients:
        for path, began, ended in claims(world, client):
            packets = world.between_peers()
            heard = (
                at
                for packet in packets
                if packet.source == path.remote
                for at, socket in packet.receivers
                if socket in client.all_sockets
            )
            spoken = (
                at
                for packet in packets
                if packet.socket in client.all_sockets
                for at, socket in packet.receivers
                if socket not in client.all_sockets
            )
            assert longest_gap(heard, began, ended) <= consent + ROUNDING, "hears nothing"
            # Consent runs from a pong's arrival: the ping was heard one way earlier.
            way = world.p / 2 + world.net.weather.jitter + HELD_BACK
            assert longest_gap(spoken, began, ended) <= consent + way, "is not heard"


def name_of(value: object) -> str | None:
    return f"{value.consent:g}s" if isinstance(value, ClientSettings) else None


@seeds(1)
@pytest.mark.parametrize("weather", [WEATHER, STORM], ids=["bad", "storm"])
@pytest.mark.parametrize(("nat_a", "nat_b", "settings"), every(2, PAIRS), ids=name_of)
def test_nobody_claims_what_it_cannot_hear(
    nat_a: str, nat_b: str, settings: ClientSettings, weather: Weather, seed: int
) -> None:
    world = World(nat_a=nat_a, nat_b=nat_b, seed=seed, weather=weather, client_settings=settings)
    world.pair()
    world.run(2 * settings.consent)
    assert_no_claim_outlives_consent(world, settings.consent)


@seeds(1)
@pytest.mark.parametrize("deaf", ["host_a", "host_b"])
@pytest.mark.parametrize(("nat_a", "nat_b", "settings"), every(4, PAIRS), ids=name_of)
def test_path_that_carries_one_way_is_claimed_by_neither(
    nat_a: str, nat_b: str, settings: ClientSettings, deaf: str, seed: int
) -> None:
    """From some moment on, in the round or after it, nothing reaches one host from the other."""
    for moment in (0.2, 0.3, 10.0):
        world = World(
            nat_a=nat_a, nat_b=nat_b, seed=seed, weather=WEATHER, client_settings=settings
        )
        pair = world.pair()
        world.run(moment)
        world.net.drop(
            lambda packet: packet.destination != SERVER and packet.sender not in (deaf, "server")
        )
        world.run(2 * settings.consent)
        assert_no_claim_outlives_consent(world, settings.consent)
        # Where only one direction works there is no proof, however often it is tried.
        cut = world.clock.now - 2 * settings.consent
        late = [
            at
            for each in pair
            for at, told in each.notices
            if isinstance(told, note.PathEstablished)
        ]
        assert [at for at in late if at > cut + 1.0] == []
        assert not any(each.is_connected for each in pair)
