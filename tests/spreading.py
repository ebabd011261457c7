"""The order of tests for several workers: each begins with its part of those that wait, and computes afterwards.

xdist gives each worker a row of tests, and the next in line takes from the longest row once its own is done. Left as collected,
one worker would have all tests that wait for sockets and processes, and wait at the end while nothing is left to compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(
    items: Sequence[Item], workers: int, waits_in: Callable[[Item], str | None]
) -> list[Item]:
    """`items` in another order. `waits_in`: the file of a test that waits, whose tests stay together; None for all others."""
    rest = [item for item in items if waits_in(item) is None]
    files: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        if (file := waits_in(item)) is not None:
            files[file].append(item)
    rows: list[list[Item]] = [[] for _ in range(workers)]
    for tests in files.values():
        min(rows, key=len).extend(tests)
    ordered: list[Item] = []
    for number, row in enumerate(rows):
        share = (len(items) - len(ordered)) // (workers - number)
        room = max(0, share - len(row))
        ordered += row + rest[:room]
        del rest[:room]
    return ordered + rest
