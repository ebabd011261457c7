"""Deadlines and growing pauses."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.machine.timers import Backoff, Following, Timers


def test_nothing_is_due_where_nothing_is_set() -> None:
    timers = Timers()
    assert timers.deadline() is None
    assert list(timers.due(1e9)) == []


def test_due_names_come_in_order_of_time_then_of_setting() -> None:
    timers = Timers()
    for name, at in (("late", 2.0), ("second", 1.0), ("third", 1.0), ("first", 0.5)):
        timers.set(name, at)
    assert timers.deadline() == 0.5
    assert list(timers.due(1.0)) == ["first", "second", "third"]
    assert timers.deadline() == 2.0


def test_setting_again_moves_in_both_directions() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 3.0)
    assert timers.deadline() == 3.0
    assert list(timers.due(2.0)) == []
    timers.set("a", 0.5)
    assert list(timers.due(2.0)) == ["a"]
    assert list(timers.due(9.0)) == []


def test_cancelled_name_is_not_due() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("never set")
    assert timers.deadline() is None
    assert list(timers.due(2.0)) == []


def test_handler_may_set_and_cancel_meanwhile() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("b", 1.0)
    seen = []
    for name in timers.due(1.0):
        seen.append(name)
        timers.cancel("b")
        if len(seen) == 1:
            timers.set("c", 1.0)
    assert seen == ["a", "c"]


def test_moving_one_timer_for_ever_does_not_pile_up() -> None:
    timers = Timers()
    timers.set("rare", 1e6)
    for moment in range(10_000):
        timers.set("often", float(moment))
    assert len(timers._heap) < 200
    assert timers.deadline() == 9999.0


def test_order_holds_however_often_timers_are_moved() -> None:
    rng, timers = random.Random(0), Timers()
    last: dict[str, float] = {}
    for _ in range(5000):
        name = f"timer {rng.randrange(30)}"
        last[name] = rng.random()
        timers.set(name, last[name])
    assert list(timers.due(1.0)) == sorted(last, key=last.__getitem__)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.floats(0, 100))), st.floats(0, 100)
)
def test_due_is_exactly_what_was_set_last(
    operations: list[tuple[str, float | None]], now: float
) -> None:
    timers, expected = Timers(), dict[str, float]()
    for name, at in operations:
        if at is None:
            timers.cancel(name)
            expected.pop(name, None)
        else:
            timers.set(name, at)
            expected[name] = at
    assert timers.deadline() == min(expected.values(), default=None)
    assert sorted(map(str, timers.due(now))) == sorted(n for n, at in expected.items() if at <= now)


@pytest.mark.parametrize("seed", range(5))
def test_pauses_double_up_to_the_most_and_are_cut_by_half_at_most(seed: int) -> None:
    backoff = Backoff(random.Random(seed), first=1.0, most=60.0)
    for full in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        assert full / 2 <= backoff.next() <= full
    for _ in range(2000):
        assert backoff.next() <= 60.0


def test_pauses_are_jittered() -> None:
    rng = random.Random(0)
    assert len({Backoff(rng, 1.0, 60.0).next() for _ in range(50)}) == 50


def test_pauses_begin_again_after_a_success() -> None:
    backoff = Backoff(random.Random(0), first=1.0, most=60.0)
    for _ in range(6):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


def test_followers_are_set_when_a_deadline_has_changed_or_one_of_them_fired() -> None:
    timers = Timers()
    following = Following(timers, ["first", "second"])
    following.set((3.0, None))
    assert timers.pending() == {"first": 3.0}
    following.set((3.0, 2.0))
    assert list(timers.due(3.0)) == ["second", "first"]
    following.fired()
    following.set((3.0, 2.0))
    assert timers.pending() == {"first": 3.0, "second": 2.0}
    following.set((None, 2.0))
    assert timers.pending() == {"second": 2.0}
