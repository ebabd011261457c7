"""The replay window against a set that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.crypto.window import WINDOW, ReplayWindow


@given(st.lists(st.integers(0, 30)))
def test_each_counter_is_accepted_once_while_it_is_inside(counters: list[int]) -> None:
    size = 8  # small, so that its edge is met often
    window, seen = ReplayWindow(size), set[int]()
    for counter in counters:
        newest = max(seen, default=-1)
        expected = counter not in seen and counter > newest - size
        assert window.is_fresh(counter) is expected
        assert window.accept(counter) is expected
        if expected:
            seen.add(counter)
    assert window.newest == max(seen, default=-1)


def test_asking_moves_nothing() -> None:
    window = ReplayWindow(64)
    assert window.accept(5)
    assert window.is_fresh(10**6)
    assert (window.newest, window.is_fresh(4)) == (5, True)


def test_whole_batches_may_overtake_each_other() -> None:
    window = ReplayWindow()
    assert WINDOW >= 1024
    assert window.accept(64 * 64)
    assert [counter for counter in range(64 * 64) if not window.accept(counter)] == []


@given(st.integers(0, 30), st.integers(1, 8), st.lists(st.integers(0, 40)))
def test_a_run_is_accepted_as_its_counters_are(first: int, count: int, others: list[int]) -> None:
    runs, singles = ReplayWindow(8), ReplayWindow(8)
    for each in others:
        if each < first:
            assert runs.accept(each) == singles.accept(each)
    runs.accept_run(first, count)
    for each in range(first, first + count):
        assert singles.accept(each)
    assert runs.newest == singles.newest
    assert [runs.is_fresh(each) for each in range(60)] == [
        singles.is_fresh(each) for each in range(60)
    ]
