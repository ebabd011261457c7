"""Words that every form of the report shares. Pure."""

from __future__ import annotations

from collections import Counter

from natlab.evidence.category import Category
from natlab.evidence.result import CellResult, Report, Timing
from natlab.oracle.outcome import Outcome


def summary(report: Report) -> str:
    """One line: how many cells, how many as predicted, what they came to."""
    total = len(report.cells)
    good = sum(cell.ok for cell in report.cells)
    connected = [cell for cell in report.cells if cell.observed is Outcome.CONNECTED]
    swapped = sum(cell.round == 2 for cell in connected)
    failed = sum(cell.observed is Outcome.FAILED for cell in report.cells)
    text = (
        f"{good} of {total} cells as predicted: {len(connected)} connected "
        f"({swapped} of them in round 2), {failed} failed"
    )
    broken = sum(cell.error is not None for cell in report.cells)
    text += f", {broken} broken" if broken else ""
    unequal = sum(cell.disagree for cell in report.cells)
    return f"{text}, {unequal} WITH RUNS THAT DISAGREE" if unequal else text


def categories(report: Report) -> dict[Category, int]:
    """How many cells each category has, in the categories' order."""
    counts = Counter(cell.category for cell in report.cells)
    return {category: counts[category] for category in Category}


def in_categories(report: Report) -> str:
    """``29 as predicted, 5 the NATs forbid it, ...``; empty categories are left out."""
    return ", ".join(f"{category}: {n}" for category, n in categories(report).items() if n)


def faults(cell: CellResult) -> list[str]:
    """Why the cell is not `ok`, a line each."""
    found = []
    if cell.disagree:
        found.append(f"its runs disagree: {ends(cell)}")
    if cell.error is not None:
        return [*found, cell.error]
    found += [f"not so: {check.name} ({check.why})" for check in cell.checks if not check.ok]
    if cell.observed is not cell.predicted and not found:
        found.append(f"observed {cell.observed}, predicted {cell.predicted}")
    return found


def ends(cell: CellResult) -> str:
    """``connected in round 1 (9 of 10), failed (1 of 10)``; of a single run just its end."""
    counts, total = cell.ends, len(cell.every_run)
    if total == 1:
        return next(iter(counts))
    return ", ".join(f"{end} ({count} of {total})" for end, count in counts.items())


def spread(timing: Timing | None) -> str:
    """``8.1 ms``, or ``8.1 / 9.0 / 12.3 ms`` for the least, the median and the greatest of several."""
    if timing is None:
        return ""
    if len(timing.values) == 1:
        return f"{timing.median:.1f} ms"
    return f"{timing.min:.1f} / {timing.median:.1f} / {timing.max:.1f} ms"
