"""`make coverage` takes one case of each test in the simulated world."""

from __future__ import annotations

from tests.covering import further_cases


def test_the_first_case_of_each_test_is_kept() -> None:
    names = ["test_a.py::test_it[0]", "test_a.py::test_it[1-x[y]]", "test_b.py::test_it[0]"]
    assert further_cases([*names, "test_a.py::test_that"]) == ["test_a.py::test_it[1-x[y]]"]
