"""From results to one line a rival. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scoreboard.results import Row
from scoreboard.trials import FAULTS, GROUPS, PLACES, PRESET_PAIRS, Group

PATHS = ("direct", "relayed", "none")
AFTER_FAULT = "after the last fault"
"""The lab's reason for a trial that had a path before the fault has these words."""
UNKNOWN = "–"
"""For what was not measured."""
BROKEN = "broken"
"""For a trial that did not come to its end; the page tells why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One rival. `rows` is None for one that could not run; `reason` says why."""

    name: str
    version: str | None
    source: str
    chosen: str
    command: str
    rows: Sequence[Row] | None
    header: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One rival, as the table shows it. Times in milliseconds; None: not measured."""

    name: str
    version: str
    of: int
    """Pairs of presets that were run to an end; `paths` counts them."""
    paths: Mapping[str, int]
    first_median: float | None
    first_worst: float | None
    packets: float | None
    """Median of both hosts until the first payload; so is `entries`, of all NATs."""
    entries: float | None
    idle: float | None
    """Packets a minute of both hosts."""
    recovery: Mapping[str, Sequence[str]]
    """Fault to a time for each pair, ``not`` without a path again in time, ``no path`` without one before."""
    places: Mapping[str, str]
    """Place and pair to the path."""
    broken: int
    late: int


def line_of(entry: Entry) -> Line:
    """The line of one that ran."""
    rows = entry.rows or ()
    counted = [row for row in rows if row.error is None]
    presets = [row for row in counted if row.group == PRESET_PAIRS]
    firsts = [row.first_ms for row in presets if row.first_ms is not None]
    idle = [row.idle_per_minute for row in counted if row.idle_per_minute is not None]
    return Line(
        entry.name,
        entry.version or UNKNOWN,
        len(presets),
        {path: Counter(row.path for row in presets)[path] for path in PATHS},
        median(firsts) if firsts else None,
        max(firsts, default=None),
        _median(row.packets for row in presets if row.path != "none"),
        _median(row.entries for row in presets if row.path != "none"),
        median(idle) if idle else None,
        {
            group.name: [_recovery(_found(rows, group, pair)) for pair in group.pairs]
            for group in GROUPS
            if group.suite == FAULTS
        },
        {place: _path_of(rows, group, pair) for place, group, pair in places()},
        sum(row.error is not None for row in rows),
        sum(row.late for row in rows),
    )


def places() -> Sequence[tuple[str, Group, tuple[str, str]]]:
    """Every place beside the presets: its words, its group, its pair."""
    return [
        (f"{group.title}: {pair[0]} × {pair[1]}", group, pair)
        for group in GROUPS
        if group.suite == PLACES
        for pair in group.pairs
    ]


def _path_of(rows: Sequence[Row], group: Group, pair: tuple[str, str]) -> str:
    row = _found(rows, group, pair)
    if row is None:
        return UNKNOWN
    return BROKEN if row.error is not None else row.path or UNKNOWN


def _found(rows: Sequence[Row], group: Group, pair: tuple[str, str]) -> Row | None:
    return next((row for row in rows if row.key == (group.name, *pair)), None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def milliseconds(value: float | None) -> str:
    """For people: ``340 ms``, ``5.2 s``."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def _recovery(row: Row | None) -> str:
    if row is None:
        return UNKNOWN
    if row.error is not None:
        return BROKEN
    if row.recovery_ms is not None:
        return milliseconds(row.recovery_ms)
    return "not" if AFTER_FAULT in row.reason else "no path"


def number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"
