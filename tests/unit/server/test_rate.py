"""The token bucket of one client."""

from __future__ import annotations

from nat_traversal.server.rate import MOST_EXPECTED, Allowance


def test_burst_passes_at_once_and_not_one_more() -> None:
    allowance = Allowance(burst=3, rate=2.0, now=10.0)
    assert [allowance.take(10.0) for _ in range(4)] == [True, True, True, False]


def test_rate_passes_for_ever() -> None:
    allowance = Allowance(burst=1, rate=2.0, now=0.0)
    assert [number for number in range(1000) if not allowance.take(number * 0.5)] == []


def test_silence_saves_up_no_more_than_the_burst() -> None:
    allowance = Allowance(burst=3, rate=2.0, now=0.0)
    for _ in range(3):
        assert allowance.take(0.0)
    assert allowance.take(1000.0)
    assert [allowance.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_answers_that_were_asked_for_are_free_and_no_others() -> None:
    allowance = Allowance(burst=1, rate=0.0, now=0.0)
    for _ in range(100):
        allowance.expect(1)
        assert allowance.answered(0.0)
    assert [allowance.answered(0.0) for _ in range(2)] == [True, False]


def test_answers_that_nobody_gave_are_not_saved_up_without_end() -> None:
    allowance = Allowance(burst=0, rate=0.0, now=0.0)
    allowance.expect(MOST_EXPECTED + 7)
    assert [allowance.answered(0.0) for _ in range(MOST_EXPECTED + 1)].count(True) == MOST_EXPECTED
