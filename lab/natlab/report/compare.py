"""Two reports side by side: what changed, and whether an outcome got worse. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table
from rich.text import Text

from natlab.evidence.result import CellResult, Report, Timing
from natlab.oracle.outcome import Outcome
from natlab.report.normal import normal_form
from natlab.report.words import ends, spread

_FACTOR = 1.5
"""Median connect times count as moved from this ratio on, if the runs' ranges do not overlap."""
_SINGLE_FACTOR, _SINGLE_MS = 5.0, 100.0
"""Where a side has a single run, chance decides much: they have to differ so many times, and so much."""
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Change:
    """A pair of NATs of which the reports tell different things. `old` or `new` None: not run."""

    old: CellResult | None
    new: CellResult | None

    @property
    def pair(self) -> tuple[str, str]:
        cell = self.new or self.old
        assert cell is not None
        return cell.nat_a, cell.nat_b

    @property
    def what(self) -> tuple[str, ...]:
        """Which of ``outcome``, ``round``, ``category``, ``time``; or ``new pair``, ``not run``."""
        if self.old is None:
            return ("new pair",)
        if self.new is None:
            return ("not run",)
        before, after = self.old, self.new
        differs = {
            "outcome": _shares(before) != _shares(after),
            "round": bool(_rounds(before) and _rounds(after)) and _rounds(before) != _rounds(after),
            "category": before.category is not after.category,
            "time": _moved(before.timing, after.timing),
        }
        return tuple(name for name, is_so in differs.items() if is_so)

    @property
    def is_worse(self) -> bool:
        """A smaller part of the runs connected, a greater part broke, or nobody knows: it was not run."""
        if self.new is None:
            return True
        if self.old is None:
            return False
        (connected, broken), (connected_now, broken_now) = _shares(self.old), _shares(self.new)
        return connected_now < connected or broken_now > broken


def compare(old: Report, new: Report) -> tuple[Change, ...]:
    """Every pair that changed, in the order of `new`, then those that are only in `old`."""
    before = {(cell.nat_a, cell.nat_b): cell for cell in old.cells}
    after = {(cell.nat_a, cell.nat_b): cell for cell in new.cells}
    changes = (
        Change(before.get(pair), after.get(pair)) for pair in dict.fromkeys((*after, *before))
    )
    return tuple(change for change in changes if change.what)


def print_comparison(old: Report, new: Report, console: Console | None = None) -> None:
    """A row for each change, then the sum and the connect times of all pairs that both have."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH, color_system=None)
    changes = compare(old, new)
    if changes:
        console.print(_table(changes))
    for line in _sums(old, new, changes):
        console.print(line)


def _table(changes: tuple[Change, ...]) -> Table:
    grid = Table(show_lines=True)
    for column in ("A × B", "changed", "old", "new"):
        grid.add_column(column, overflow="fold")
    for change in changes:
        what = ", ".join(change.what)
        grid.add_row(
            Text(" × ".join(change.pair)),
            Text(f"WORSE: {what}" if change.is_worse else what),
            _cell(change.old),
            _cell(change.new),
            style="bold red" if change.is_worse else None,
        )
    return grid


def _cell(cell: CellResult | None) -> Text:
    if cell is None:
        return Text("")
    lines = (ends(cell), str(cell.category), spread(cell.timing), cell.error or "")
    return Text("\n".join(line for line in lines if line))


def _sums(old: Report, new: Report, changes: tuple[Change, ...]) -> Iterator[Text]:
    vanished = sum(change.new is None for change in changes)
    worse = sum(change.is_worse for change in changes)
    pairs = {(cell.nat_a, cell.nat_b) for report in (old, new) for cell in report.cells}
    text = f"{len(changes)} of {len(pairs)} pairs changed, {worse} for the worse"
    text += f": {vanished} of them are in the old report only" if vanished else ""
    yield Text(text, style="bold red" if worse else "bold green")
    yield _alike(old, new)
    before = {(cell.nat_a, cell.nat_b): cell.timing for cell in old.cells}
    both = [
        (earlier.median, cell.timing.median)
        for cell in new.cells
        if cell.timing and (earlier := before.get((cell.nat_a, cell.nat_b)))
    ]
    if both:
        was, is_ = (median(times) for times in zip(*both, strict=True))
        yield Text(f"median connect time over {len(both)} pairs: {was:.1f} ms, now {is_:.1f} ms")


def _alike(old: Report, new: Report) -> Text:
    """How far the reports are the same but for what no seed decides."""
    before, after = normal_form(old), normal_form(new)
    common = before.keys() & after.keys()
    differ = sorted(pair for pair in common if before[pair] != after[pair])
    text = (
        f"{len(common) - len(differ)} of {len(common)} pairs are alike in all but times and ports"
    )
    named = ", ".join(
        f"{' × '.join(pair)} ({', '.join(part for part in before[pair] if before[pair][part] != after[pair][part])})"
        for pair in differ
    )
    return Text(f"{text}; not {named}" if differ else text)


def _shares(cell: CellResult) -> tuple[float, float]:
    """The parts of the runs that connected, and that broke."""
    runs = cell.every_run
    connected = sum(run.observed is Outcome.CONNECTED for run in runs)
    return connected / len(runs), sum(run.end == "broken" for run in runs) / len(runs)


def _rounds(cell: CellResult) -> set[int]:
    return {run.round for run in cell.every_run if run.round is not None}


def _moved(old: Timing | None, new: Timing | None) -> bool:
    if old is None or new is None:
        return False
    apart = old.max < new.min or new.max < old.min
    low, high = sorted((old.median, new.median))
    if 1 in {len(old.values), len(new.values)}:
        return apart and high >= _SINGLE_FACTOR * low and high - low >= _SINGLE_MS
    return apart and high >= _FACTOR * low
