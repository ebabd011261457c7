"""The pauses between pings on a path that programs do not use."""

from __future__ import annotations

import random
from itertools import pairwise

from nat_traversal.paths.keepalive import GROWS, JITTER, TARRIES, Keepalive, Lifetime
from nat_traversal.settings import ClientSettings

SETTINGS = ClientSettings()
USUAL, MOST, IDLE = SETTINGS.ping_interval, SETTINGS.idle_ping, SETTINGS.idle_after


def a_keepalive(lifetime: Lifetime | None = None) -> Keepalive:
    return Keepalive(lifetime or Lifetime(SETTINGS), SETTINGS, random.Random(0), 0.0)


def answered(keepalive: Keepalive, now: float, count: int) -> list[float]:
    """The pauses after so many answered pings."""
    pauses: list[float] = []
    for _ in range(count):
        pause = keepalive.answered(now)
        assert pause is not None
        pauses.append(pause)
        now += pause
    return pauses


def test_pauses_grow_step_by_step_to_the_longest_and_are_never_shortened() -> None:
    pauses = answered(a_keepalive(), IDLE, 20)
    assert USUAL * GROWS <= pauses[0] <= USUAL * GROWS * JITTER
    assert [each for each in pauses[-10:] if not MOST <= each <= MOST * JITTER] == []
    assert [
        (before, after) for before, after in pairwise(pauses) if after > before * GROWS * JITTER
    ] == []


def test_a_path_in_use_is_pinged_as_ever_and_so_is_one_used_again() -> None:
    keepalive = a_keepalive()
    assert keepalive.answered(IDLE - 1.0) is None
    assert keepalive.answered(IDLE) is not None
    assert keepalive.used(IDLE + 5.0), "it was idle"
    assert not keepalive.used(IDLE + 6.0)
    assert keepalive.answered(IDLE + 7.0) is None


def test_what_a_path_has_borne_serves_the_next_and_what_killed_one_is_not_tried_again() -> None:
    lifetime = Lifetime(SETTINGS)
    first = a_keepalive(lifetime)
    deadly = answered(first, IDLE, 5)[-1] / JITTER
    first.died()
    pauses = answered(a_keepalive(lifetime), IDLE, 20)
    assert max(pauses) < deadly
    assert min(pauses) > USUAL


def test_a_death_that_no_pause_explains_teaches_nothing() -> None:
    lifetime = Lifetime(SETTINGS)
    a_keepalive(lifetime).died()
    assert max(answered(a_keepalive(lifetime), IDLE, 20)) >= MOST


def test_who_is_pinged_tarries_longer_than_the_peers_next_pause() -> None:
    keepalive = a_keepalive()
    assert keepalive.asked(IDLE) is None, "its pace is not known"
    assert keepalive.asked(IDLE + 20.0) == TARRIES * 20.0 > 20.0 * GROWS * JITTER
    assert keepalive.asked(IDLE + 2000.0) == TARRIES * MOST
    busy = a_keepalive()
    busy.asked(0.0)
    assert busy.asked(5.0) is None


def test_consent_that_is_set_short_keeps_the_pauses_short() -> None:
    assert SETTINGS.with_consent(12.0).idle_ping == 2.0
    assert SETTINGS.with_consent(12.0).ping_interval == 2.0


def test_another_network_begins_anew() -> None:
    lifetime = Lifetime(SETTINGS)
    answered(a_keepalive(lifetime), IDLE, 20)
    lifetime.forget()
    assert lifetime.next == USUAL * GROWS
