"""Trouble told now and then."""

from __future__ import annotations

from nat_traversal.cli.teller import Teller, with_count


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_kind_is_told_at_once_and_again_after_a_while_with_what_was_kept_back() -> None:
    clock = Clock()
    teller = Teller(clock, 60.0)
    assert teller.due("a") == 0
    clock.now = 59.9
    assert teller.due("a") is None
    assert teller.due("a") is None
    assert teller.due("b") == 0
    clock.now = 60.0
    assert teller.due("a") == 2
    clock.now = 1000.0
    assert teller.due("a") == 0


def test_a_flood_of_kinds_is_held_to_so_many_in_that_time_and_one_day_ends() -> None:
    clock = Clock()
    teller = Teller(clock, 60.0, most=3)
    assert [teller.due(kind) for kind in range(5)] == [0, 0, 0, None, None]
    clock.now = 60.0
    assert [teller.due(kind) for kind in range(10, 15)] == [0, 0, 0, None, None]


def test_what_was_kept_back_is_told_as_a_number() -> None:
    assert with_count("no route", 0) == "no route"
    assert with_count("no route", 7) == "no route (7 more times since it was told last)"


def test_trouble_that_ended_and_came_back_is_told_at_once() -> None:
    teller = Teller(Clock(), 60.0)
    assert (teller.due("a"), teller.due("b")) == (0, 0)
    teller.forget(lambda kind: kind == "a")
    assert (teller.due("a"), teller.due("b")) == (0, None)


def test_a_kind_may_be_told_some_times_at_once_and_then_in_even_steps() -> None:
    clock = Clock()
    teller = Teller(clock, 1.0, burst=3)
    assert [teller.due("a") for _ in range(5)] == [0, 0, 0, None, None]
    clock.now = 1.0
    assert [teller.due("a"), teller.due("a")] == [2, None]
    clock.now = 100.0
    assert [teller.due("a") for _ in range(4)] == [1, 0, 0, None]
    assert teller.kept_back == 4
