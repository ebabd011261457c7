"""The report as Markdown, for the summary page of a CI job. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from natlab.evidence.result import CellResult, Report
from natlab.report.words import by_cause, ends, faults, links, spread, summary

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def markdown(report: Report) -> str:
    """The sum, the matrix, then what is not as it should be and why pairs have no direct path."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "## NAT traversal lab"
    yield f"\n**{_text(summary(report))}**\n"
    if told := links(report):
        yield f"{_text(told)}\n"
    yield from _matrix(report)
    wrong = [cell for cell in report.cells if not cell.ok]
    if wrong:
        yield "\n### Not as it should be\n"
        for cell in wrong:
            yield from (f"- {_pair(cell)}: {_text(fault)}" for fault in faults(cell))
    groups = by_cause(report)
    if groups:
        yield "\n### Why no direct path opened\n"
        for (category, cause), cells in groups.items():
            yield f"- {len(cells)}, {category}. {_text(cause)} {', '.join(map(_pair, cells))}"
        yield "\n<details><summary>The deciding packet of each</summary>\n"
        for cells in groups.values():
            yield from (f"- {_pair(cell)}: {_text(cell.reason)}" for cell in cells)
        yield "\n</details>"


def _matrix(report: Report) -> Iterator[str]:
    cells = {(cell.nat_a, cell.nat_b): cell for cell in report.cells}
    columns = list(dict.fromkeys(cell.nat_b for cell in report.cells))
    yield _row(["A \\\\ B", *map(_text, columns)])
    yield _row(["---", *(":---:" for _ in columns)])
    for row in dict.fromkeys(cell.nat_a for cell in report.cells):
        found = (cells.get((row, column)) for column in columns)
        yield _row([f"**{_text(row)}**", *(_cell(cell) if cell else "" for cell in found)])


def _cell(cell: CellResult) -> str:
    text = _text(ends(cell))
    took = spread(cell.timing)
    text += f"<br>{took}" if took else ""
    return text if cell.ok else f"❌ **{text}**"


def _row(values: list[str]) -> str:
    return f"| {' | '.join(values)} |"


def _pair(cell: CellResult) -> str:
    return f"**{_text(cell.nat_a)} × {_text(cell.nat_b)}**"


def _text(text: str) -> str:
    """`text` on one line, with nothing in it that Markdown or HTML would act on."""
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))
