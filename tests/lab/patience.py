"""Measuring time on a machine that is busy with something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_BAD_AT_MOST = 2


def measured_mostly(is_true: Callable[[T], bool], measure: Callable[[], T]) -> T:
    """The measurement by which more were as they should be than not, or the third that was not.

    A fault shows mostly; a delay, because another process had the CPU, does not.
    """
    good = bad = 0
    while True:
        measured = measure()
        if is_true(measured):
            good += 1
        else:
            bad += 1
        if good > bad or bad > _BAD_AT_MOST:
            return measured
