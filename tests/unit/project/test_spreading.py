"""Each worker of the tests begins with its part of those that wait."""

from __future__ import annotations

from tests.spreading import spread


def waits_in(test: str) -> str | None:
    return test[0] if test[0] in "abc" else None


def test_each_row_begins_with_whole_files_of_those_that_wait() -> None:
    tests = ["a1", "a2", "b1", "c1", *(f"x{number}" for number in range(5))]
    assert spread(tests, 2, waits_in) == ["a1", "a2", "x0", "x1", "b1", "c1", "x2", "x3", "x4"]


def test_all_are_kept_where_most_wait() -> None:
    tests = [*(f"a{number}" for number in range(7)), "x0", "b1"]
    assert sorted(spread(tests, 3, waits_in)) == sorted(tests)


def test_nothing_changes_where_none_waits() -> None:
    tests = [f"x{number}" for number in range(7)]
    assert spread(tests, 3, waits_in) == tests
