"""Connect times of several runs as a strip, on one logarithmic scale for the whole report. Pure.

A line goes from the least to the greatest. A mark is at the median, and a dot for each run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from markupsafe import Markup

from natlab.evidence.result import Timing

_WIDTH = 160
_EDGE = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`, in milliseconds, both above 0."""

    low: float
    high: float

    @classmethod
    def of(cls, timings: Iterable[Timing]) -> Self | None:
        """The scale on which all of them fit; None if there are none."""
        every = list(timings)
        if not every:
            return None
        low, high = min(each.min for each in every), max(each.max for each in every)
        return cls(max(low, 1e-3), max(high, 1e-3))

    def x(self, time: float) -> float:
        """Where `time` is on a strip."""
        low, high = math.log(self.low), math.log(self.high)
        part = (math.log(max(time, self.low)) - low) / (high - low) if high > low else 0.5
        return round(_EDGE + part * (_WIDTH - 2 * _EDGE), 1)


def strip(timing: Timing, scale: Scale) -> Markup:
    """One SVG element; its colours are the page's."""
    label = (
        f"{len(timing.values)} runs: least {timing.min:.1f} ms, median {timing.median:.1f} ms, "
        f"greatest {timing.max:.1f} ms"
    )
    dots = Markup("").join(
        Markup('<circle cx="{}" cy="7" r="2.5"/>').format(scale.x(time)) for time in timing.values
    )
    return Markup(
        '<svg class="strip" viewBox="0 0 {} 14" role="img" aria-label="{}">'
        '<path class="range" d="M{} 7H{}"/><path class="median" d="M{} 1V13"/>{}</svg>'
    ).format(_WIDTH, label, scale.x(timing.min), scale.x(timing.max), scale.x(timing.median), dots)
