"""A client's own limits of guesses."""

from __future__ import annotations

import pytest

from nat_traversal.paths.budget import MOST_OCTETS, TrafficBudget
from nat_traversal.paths.probing import (
    APART,
    MOST_PROBES,
    MOST_UNPROVEN,
    WITHIN,
    ProbeBudget,
    Probes,
    pace,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.guessing import PROBES

THERE = "198.51.100.2"
PORT = Endpoint(THERE, 1024)


def whole(*validated: str) -> TrafficBudget:
    budget = TrafficBudget()
    for each in validated:
        budget.validate(each)
    return budget


def take(budget: TrafficBudget, count: int, to: Endpoint = PORT) -> int:
    return sum(budget.take(to, 54, is_opening=True) for _ in range(count))


def test_none_where_nobody_has_answered() -> None:
    assert Probes().begin(whole(), THERE, 0.0) is None


def in_an_hour(probes: Probes, *, proves: bool) -> int:
    """Datagrams that go there if all that may go does, in rounds as soon after each other as they may be."""
    sent, now = 0, 0.0
    while now < WITHIN:
        budget = probes.begin(whole(THERE), THERE, now)
        if budget is not None and proves:
            budget.validate(THERE)
        sent += 0 if budget is None else take(budget, 2000)
        now += APART + 1.0
    return sent


@pytest.mark.parametrize(("proves", "most"), [(False, MOST_UNPROVEN), (True, MOST_PROBES)])
def test_an_address_gets_no_more_in_an_hour_than_the_most_and_then_again(
    proves: bool, most: int
) -> None:
    probes = Probes()
    assert in_an_hour(probes, proves=proves) == most
    later = probes.begin(whole(THERE), THERE, WITHIN)
    assert later is not None
    assert take(later, 2000) == MOST_UNPROVEN, "the proof is as old as the round"


def test_a_proof_from_elsewhere_is_none() -> None:
    budget = Probes().begin(whole(THERE), THERE, 0.0)
    assert budget is not None
    budget.validate("192.0.2.7")
    assert take(budget, 2000) == MOST_UNPROVEN


def test_a_round_that_was_met_early_leaves_room_for_one_more() -> None:
    probes = Probes()
    first = probes.begin(whole(THERE), THERE, 0.0)
    assert first is not None
    first.validate(THERE)
    take(first, MOST_PROBES - PROBES)
    second = probes.begin(whole(THERE), THERE, APART)
    assert second is not None
    assert take(second, 2000) == PROBES


def test_rounds_keep_apart_wherever_they_go() -> None:
    probes = Probes()
    assert probes.begin(whole(THERE), THERE, 0.0) is not None
    assert probes.begin(whole("192.0.2.7"), "192.0.2.7", APART - 1.0) is None
    assert probes.begin(whole("192.0.2.7"), "192.0.2.7", APART) is not None


def test_long_datagrams_go_nowhere_and_those_to_elsewhere_come_from_the_attempt() -> None:
    attempt = whole(THERE)
    budget = Probes().begin(attempt, THERE, 0.0)
    assert isinstance(budget, ProbeBudget)
    assert not budget.take(PORT, MOST_OCTETS + 1, is_opening=True)
    elsewhere = Endpoint("192.0.2.7", 9)
    assert take(budget, 100, elsewhere) == take(whole(), 100, elsewhere)
    assert budget.spent == 0
    assert not attempt.is_spent


def test_no_second_has_more_than_150_also_where_this_host_was_busy_before() -> None:
    steps, sent = pace(), []
    now = 0.0
    while now < 5.0:
        wait = steps.take(now)
        if wait:
            now += max(wait, 0.3 if 2.0 < now < 2.2 else 0.0)
        else:
            sent.append(now)
    most = max(sum(at <= other < at + 1.0 for other in sent) for at in sent)
    assert 140 < most <= 150
