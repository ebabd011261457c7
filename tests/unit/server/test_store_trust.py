"""When a store that was late counts as back."""

from __future__ import annotations

from nat_traversal.server.cluster.trust import Trust
from nat_traversal.settings import ServerSettings

SETTINGS = ServerSettings()
AGAIN, MOST_AGAIN = SETTINGS.store_retry_first, SETTINGS.store_retry_most
FIRST_TRIAL, MOST_TRIAL = SETTINGS.store_trial_first, SETTINGS.store_trial_most
STEADY = SETTINGS.store_steady


def late_again(trust: Trust, times: int, steady: float = 1.0) -> list[float]:
    """It counts as back and is late again after `steady` seconds, so often: the trials that follow."""
    trials = []
    for number in range(times):
        trust.reached(now=1000.0 * number)
        trust.lost(1000.0 * number + steady, was_late=True)
        trials.append(trust.trial)
    return trials


def test_a_store_that_was_never_late_has_no_trial_whatever_breaks_its_connections() -> None:
    trust = Trust(SETTINGS)
    for now in range(10):
        trust.reached(float(now))
        assert trust.lost(now + 0.5, was_late=False) == AGAIN
    assert trust.trial == 0.0


def test_each_time_that_it_is_late_again_its_trial_is_twice_as_long() -> None:
    assert late_again(Trust(SETTINGS), 6) == [2.0, 4.0, 8.0, 16.0, MOST_TRIAL, MOST_TRIAL]


def test_ids_outlive_the_first_trial() -> None:
    assert SETTINGS.store_lease > FIRST_TRIAL


def test_a_store_that_was_steady_is_late_for_the_first_time_again() -> None:
    trust = Trust(SETTINGS)
    late_again(trust, 4)
    assert late_again(trust, 2, steady=STEADY) == [FIRST_TRIAL, FIRST_TRIAL]


def test_a_steady_store_whose_connection_breaks_is_trusted_again() -> None:
    trust = Trust(SETTINGS)
    late_again(trust, 4)
    trust.reached(0.0)
    trust.lost(STEADY, was_late=False)
    assert trust.trial == 0.0


def test_tries_at_a_late_store_are_further_and_further_apart_until_it_is_back() -> None:
    trust = Trust(SETTINGS)
    trust.reached(0.0)
    pauses = [trust.lost(float(now), was_late=True) for now in range(1, 7)]
    assert pauses == [AGAIN, 1.0, 2.0, MOST_AGAIN, MOST_AGAIN, MOST_AGAIN]
    assert trust.trial == FIRST_TRIAL  # trials in vain make it no longer
    trust.reached(10.0)
    assert trust.lost(11.0, was_late=True) == AGAIN


def test_a_store_that_refuses_connections_is_tried_twice_a_second() -> None:
    trust = Trust(SETTINGS)
    assert {trust.lost(float(now), was_late=False) for now in range(10)} == {AGAIN}
