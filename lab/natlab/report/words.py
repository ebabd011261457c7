"""Words that every form of the report shares. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from natlab.evidence.category import Category
from natlab.evidence.result import CellResult, Report, Timing
from natlab.oracle.outcome import Outcome


def summary(report: Report) -> str:
    """One line: how many cells, how many as predicted, what they came to, and whose doing that is."""
    total = len(report.cells)
    good = sum(cell.ok for cell in report.cells)
    connected = [cell for cell in report.cells if cell.observed is Outcome.CONNECTED]
    swapped = sum(cell.round == 2 for cell in connected)
    failed = [cell for cell in report.cells if cell.observed is Outcome.FAILED]
    text = (
        f"{good} of {total} cells as predicted: {len(connected)} connected "
        f"({_why({'in round 2': swapped, **_doings(connected, _CONNECTED)})}), {len(failed)} failed"
        f" ({_why(_doings(failed, _FAILED))})"
    ).replace(" ()", "")
    broken = sum(cell.error is not None for cell in report.cells)
    text += f", {broken} broken" if broken else ""
    unequal = sum(cell.disagree for cell in report.cells)
    return f"{text}, {unequal} WITH RUNS THAT DISAGREE" if unequal else text


def links(report: Report) -> str:
    """``links: NATs to internet by netem: delay 5 ms (the default)``; empty where nothing is known."""
    told = report.header.get("links")
    return f"links: {told}" if told else ""


def categories(report: Report) -> dict[Category, int]:
    """How many cells each category has, in the categories' order."""
    counts = Counter(cell.category for cell in report.cells)
    return {category: counts[category] for category in Category}


def _doings(cells: Sequence[CellResult], words: Mapping[Category, str]) -> dict[str, int]:
    """Whose doing it is that `cells` did not come to the best end, and of how many."""
    counts = Counter(cell.category for cell in cells)
    return {text: counts[category] for category, text in words.items()}


def _why(counts: Mapping[str, int]) -> str:
    """``2 in round 2, 4 because the NATs forbid it``; what there is none of is left out."""
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)


_CONNECTED = {
    Category.MISSED: "a round later than needed",
    Category.LAB_WRONG: "where the lab is wrong",
}
_FAILED = {
    Category.FORBIDDEN: "because the NATs forbid it without guessing ports",
    Category.MISSED: "though the program could have connected",
    Category.LAB_WRONG: "where the lab is wrong",
}


def by_cause(report: Report) -> dict[tuple[Category, str], list[CellResult]]:
    """The cells that failed, together where category and cause are the same; the largest group first."""
    groups: dict[tuple[Category, str], list[CellResult]] = defaultdict(list)
    for cell in report.cells:
        if cell.observed is Outcome.FAILED:
            groups[cell.category, _of_either_side(cell.cause or cell.reason)].append(cell)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def _of_either_side(cause: str) -> str:
    """``nat_b gave a port that nat_a ...`` as ``One NAT gave a port that the other ...``."""
    sides = list(dict.fromkeys(_SIDE.findall(cause)))

    def name(found: re.Match[str]) -> str:
        which = "the other" if sides.index(found[1]) else "one"
        return which if which != "one" else {"nat": "one NAT", "host": "one host"}[found[2]]

    text = _NAMED.sub(name, cause)
    return text[:1].upper() + text[1:]


_SIDE = re.compile(r"\b(?:nat|host)_([ab])\b")
_NAMED = re.compile(r"\b(?=(?:nat|host)_([ab])\b)(nat|host)_[ab]\b")


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
