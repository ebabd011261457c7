"""Connect times as shades, where they tell something of the NATs: with delays and several runs. Pure.

Without a delay that somebody asked for, a connect time is what this machine's scheduler made of it; of a single
run, what chance did.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from natlab.evidence.result import Report

_SHADES = 4


@dataclass(frozen=True, slots=True)
class Heat:
    """Even steps of the logarithm from `low` to `high`, the medians of round 1, in milliseconds."""

    low: float
    high: float

    @classmethod
    def of(cls, report: Report) -> Self | None:
        """None where times are not worth a colour."""
        timings = [cell.timing for cell in report.cells if cell.timing and cell.round == 1]
        links = report.header.get("links", "")
        if not re.search(r"delay \d", links) or links.endswith("the default)"):
            return None
        if not timings or any(len(timing.values) == 1 for timing in timings):
            return None
        medians = [max(timing.median, 1e-3) for timing in timings]
        return cls(min(medians), max(medians))

    def shade(self, time: float) -> int:
        """From 0, the fastest, to 3."""
        if self.high <= self.low:
            return 0
        part = math.log(max(time, self.low) / self.low) / math.log(self.high / self.low)
        return min(_SHADES - 1, int(part * _SHADES))

    @property
    def steps(self) -> tuple[tuple[float, float], ...]:
        """From and to, in milliseconds, of each shade."""
        ratio = (self.high / self.low) ** (1 / _SHADES)
        return tuple((self.low * ratio**n, self.low * ratio ** (n + 1)) for n in range(_SHADES))
