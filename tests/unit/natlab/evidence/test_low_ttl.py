"""The duties of `low-ttl`: openers leave their NAT before the other's HELLO comes, and end on their way."""

from __future__ import annotations

import pytest

from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.opener import Opener
from natlab.evidence.explain import cause
from natlab.evidence.journey import Fate
from natlab.evidence.methods import low_ttl
from natlab.oracle.methods import low_ttl as model
from natlab.oracle.outcome import Outcome
from tests.unit.natlab.scenes import OUTSIDE, TAGS, Scene, opened

HOSTS = ("host_a", "host_b")


def opener(scene: Scene, host: str, fate: Fate, hops: int = 3, to: Endpoint | None = None) -> None:
    scene.send(host, Opener(TAGS[1], 1, hops), 1, fate, destination=to)


def spoken(scene: Scene) -> Scene:
    for step in (1, 2, 3):
        scene.hello(1, step)
    scene.conclude(1)
    return scene


def a_scene(a: Fate = Fate.EXPIRED, b: Fate = Fate.EXPIRED) -> Scene:
    scene = opened(1)
    for host, fate in zip(HOSTS, (a, b), strict=True):
        opener(scene, host, fate)
    return spoken(scene)


def test_openers_that_end_between_the_nats_are_told() -> None:
    trace = a_scene().trace()
    check = low_ttl.openers_ended_between(trace)
    assert check.ok, check
    assert "host_a: at hop 3" in check.why
    assert low_ttl.openers_went_to_the_peer(trace).ok
    assert cause(trace, "linux-masquerade", "linux-masquerade").endswith(
        "as openers ended between the NATs."
    )


@pytest.mark.parametrize("fate", [Fate.TAKEN_BY_ROUTER, Fate.DROPPED, Fate.DELIVERED])
def test_one_that_comes_to_the_peers_nat_is_told(fate: Fate) -> None:
    check = low_ttl.openers_ended_between(a_scene(b=fate).trace())
    assert not check.ok
    assert "host_b sent one that came to nat_a" in check.why


@pytest.mark.parametrize("fate", [Fate.BLOCKED, Fate.LOST])
def test_one_that_is_not_seen_to_end_proves_nothing(fate: Fate) -> None:
    assert not low_ttl.openers_ended_between(a_scene(a=fate).trace()).ok


def test_a_host_without_one_is_told_and_so_is_one_that_comes_late() -> None:
    alone = opened(1)
    opener(alone, "host_a", Fate.EXPIRED)
    assert "host_b sent none" in low_ttl.openers_ended_between(spoken(alone).trace()).why
    late = opened(1)
    opener(late, "host_a", Fate.EXPIRED)
    spoken(late)
    opener(late, "host_b", Fate.EXPIRED)
    check = low_ttl.openers_ended_between(late.trace())
    assert "a HELLO came to nat_b before its host had opened it" in check.why


def test_one_to_anybody_else_is_told() -> None:
    scene = opened(1)
    opener(scene, "host_a", Fate.EXPIRED, to=Endpoint(OUTSIDE["host_b"], 9))
    assert not low_ttl.openers_went_to_the_peer(spoken(scene).trace()).ok


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "outcome"),
    [
        ("linux-masquerade", "linux-masquerade", Outcome.CONNECTED),
        ("linux-masquerade", "symmetric", Outcome.FAILED),
        ("symmetric", "symmetric", Outcome.FAILED),
        ("linux-masquerade", "udp-blocked", Outcome.FAILED),
    ],
)
def test_the_model_opens_pairs_of_which_only_the_order_matters(
    nat_a: str, nat_b: str, outcome: Outcome
) -> None:
    assert model.predict(nat_a, nat_b).outcome is outcome
