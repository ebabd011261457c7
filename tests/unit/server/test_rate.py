"""The token bucket of one client."""

from __future__ import annotations

from nat_traversal.server.rate import Allowance


def test_burst_passes_at_once_and_not_one_more() -> None:
    allowance = Allowance(burst=3, rate=2.0, now=10.0)
    assert [allowance.take(10.0) for _ in range(4)] == [True, True, True, False]


def test_rate_passes_for_ever() -> None:
    allowance = Allowance(burst=1, rate=2.0, now=0.0)
    assert all(allowance.take(number * 0.5) for number in range(1000))


def test_silence_saves_up_no_more_than_the_burst() -> None:
    allowance = Allowance(burst=3, rate=2.0, now=0.0)
    for _ in range(3):
        assert allowance.take(0.0)
    assert allowance.take(1000.0)
    assert [allowance.take(1000.0) for _ in range(4)] == [True, True, True, False]
