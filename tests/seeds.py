"""The seeds and cases of a test whose every run is a random world: few each time, many in `make fuzz`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., object])
Case = TypeVar("Case")

factor = 1
"""By how much a test has more seeds than usual. `tests.fuzzing` sets it before any test is collected."""


def seeds(usual: int) -> Callable[[Test], Test]:
    """Mark for a test with an argument `seed`: it runs with each of the first `usual` times `factor`."""
    numbers = pytest.mark.parametrize("seed", range(usual * factor))
    return lambda test: pytest.mark.seeded(numbers(test))


def every(step: int, cases: Sequence[Case]) -> list[Case]:
    """Each `step`-th of `cases`; all of them where there are more seeds than usual.

    Of all pairs of n, a step without a common factor with n takes each in either place.
    """
    return list(cases if factor > 1 else cases[::step])
