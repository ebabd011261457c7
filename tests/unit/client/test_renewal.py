"""When the next path has to open, by the ages at which those before it died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from nat_traversal.client.renewal import LATER, LEAD, LEAST, SAME, Renewal
from nat_traversal.paths.path import Path
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint

PORTS = tuple(Endpoint("198.51.100.2", 40_000 + number) for number in range(3))


@dataclass(eq=False)
class Stand:
    """A path as far as this looks at one."""

    began_at: float
    heard_at: float = 0.0
    is_dead: bool = False
    remote: Endpoint = PORTS[0]

    def has_died(self, now: float) -> bool:
        del now
        return self.is_dead


def look(renewal: Renewal, stand: Stand | None, now: float) -> None:
    renewal.look(cast("Path | None", stand), now)


def lives(renewal: Renewal, began_at: float, age: float) -> float:
    """A path that stands from `began_at` on, and dies at that age; until when."""
    stand = Stand(began_at)
    look(renewal, stand, began_at)
    stand.heard_at, stand.is_dead = began_at + age, True
    look(renewal, None, began_at + age + 2.0)
    return began_at + age + 3.0


def a_renewal(*, is_second: bool = False, told: float = 0.0) -> Renewal:
    return Renewal(ClientSettings(mapping_age=told), is_second=is_second)


def test_one_death_teaches_nothing_and_two_at_one_age_the_next_deadline() -> None:
    renewal = a_renewal()
    now = lives(renewal, 0.0, 60.0)
    ages = [renewal.age]
    now = lives(renewal, now, 60.0 + SAME)
    ages.append(renewal.age)
    assert ages == [None, 60.0]
    look(renewal, Stand(now), now)
    assert renewal.deadline == now + 60.0 - LEAD


@pytest.mark.parametrize(("first", "second"), [(60.0, 61.0 + SAME), (LEAST - 1, LEAST - 1)])
def test_ages_that_differ_or_are_short_teach_nothing(first: float, second: float) -> None:
    renewal = a_renewal()
    lives(renewal, lives(renewal, 0.0, first), second)
    assert renewal.age is None


def test_the_second_host_leaves_the_first_word_to_the_other() -> None:
    deadlines = []
    for is_second in (False, True):
        renewal = a_renewal(is_second=is_second, told=60.0)
        look(renewal, Stand(0.0), 0.0)
        deadlines.append(renewal.deadline)
    assert deadlines == [60.0 - LEAD, 60.0 - LEAD + LATER]


def test_a_path_that_gives_its_place_alive_has_not_died() -> None:
    renewal = a_renewal()
    for began_at in (0.0, 60.0, 120.0):
        look(renewal, Stand(began_at, heard_at=began_at + 60.0), began_at)
    assert renewal.age is None


def test_a_peer_that_moves_to_another_port_at_one_age_is_known_too() -> None:
    renewal, stand = a_renewal(), Stand(0.0)
    look(renewal, stand, 0.0)
    for number in (1, 2):
        stand.remote = PORTS[number]
        look(renewal, stand, 60.0 * number)
    assert renewal.age == 60.0
    assert renewal.deadline == 180.0 - LEAD


def test_another_network_has_another_age() -> None:
    renewal = a_renewal()
    lives(renewal, lives(renewal, 0.0, 60.0), 60.0)
    renewal.forget()
    assert renewal.age is None, "nothing is known of it"
    assert a_renewal(told=60.0).age == 60.0
