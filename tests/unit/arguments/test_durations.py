"""Durations as people write them."""

from __future__ import annotations

import pytest

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("40ms", 0.04),
        ("200us", 0.0002),
        ("2.5s", 2.5),
        ("2.5", 2.5),
        ("0", 0.0),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("86400", DAY),
    ],
)
def test_a_duration_is_a_number_and_a_unit_or_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1 s", "1S", "1min", "0x10", "1e3", ".5s", "5.s", "inf", "nan", "٣s"]
)
def test_anything_else_is_refused_with_the_form_that_works(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert str(caught.value) == (
        f"{text!r} is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)"
    )


@pytest.mark.parametrize(
    ("text", "least", "most", "words"),
    [
        ("0", 1.0, DAY, "'0' is out of range: give 1s to 86400s"),
        ("25h", 1.0, DAY, "'25h' is out of range: give 1s to 86400s"),
        ("9ms", 0.01, float("inf"), "'9ms' is out of range: give at least 0.01s"),
    ],
)
def test_a_bound_is_told(text: str, least: float, most: float, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text, least, most)
    assert str(caught.value) == words
