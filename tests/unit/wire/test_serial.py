"""Which of two numbers came later, where they go round."""

from __future__ import annotations

import pytest

from nat_traversal.wire.serial import is_later


@pytest.mark.parametrize(
    ("number", "before", "later"),
    [(1, 0, True), (0, 1, False), (0, 0, False), (99, 0, True), (5, 5, False), (4, 5, False),
     (6, 5, True), (1, 100, True), (100, 1, False), (3, 90, True)],
)  # fmt: skip
def test_numbers_go_round_and_nothing_is_before_all(number: int, before: int, later: bool) -> None:
    assert is_later(number, before, 100) is later
