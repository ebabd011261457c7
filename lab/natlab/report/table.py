"""The N × N table for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from natlab.evidence.category import Category
from natlab.evidence.result import CellResult, Report
from natlab.evidence.way import Kind
from natlab.oracle.outcome import Outcome
from natlab.report.words import (
    by_cause,
    ended_badly,
    ends,
    faults,
    links,
    rung_and_times,
    short_end,
    summary,
)

_WIDTH = 120
"""Columns, where the output is no terminal that would tell."""


def print_table(report: Report, console: Console | None = None) -> None:
    """The table, why cells failed (those of one cause together), a line for each that is not as it should be, then the sum."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH, color_system=None)
    console.print(table(report))
    for (category, cause), cells in by_cause(report).items():
        ends = {short_end(cell) for cell in cells}
        console.print(Text(f"  {len(cells)} {' or '.join(sorted(ends))}, {category}. {cause}"))
        console.print(Text(f"    {', '.join(f'{cell.nat_a} × {cell.nat_b}' for cell in cells)}"))
    for cell in report.cells:
        for line in faults(cell):
            console.print(Text(f"  {cell.nat_a} × {cell.nat_b}: {line}", style="bold red"))
    for line in ended_badly(report):
        console.print(Text(f"  {line}"))
    if told := links(report):
        console.print(Text(told))
    console.print(Text(summary(report), style="bold green" if report.ok else "bold red"))


def table(report: Report) -> Table:
    """Rows: the NAT of host_a. Columns: the NAT of host_b. Pairs that were not run stay empty."""
    cells = {(cell.nat_a, cell.nat_b): cell for cell in report.cells}
    rows = list(dict.fromkeys(cell.nat_a for cell in report.cells))
    columns = list(dict.fromkeys(cell.nat_b for cell in report.cells))
    grid = Table(title="host_a's NAT by row, host_b's by column", show_lines=True)
    grid.add_column("A \\ B", style="bold", no_wrap=True)
    for column in columns:
        grid.add_column(column.replace("-", "-\n"), justify="center", overflow="fold")
    for row in rows:
        grid.add_row(
            row,
            *(_cell(cells[row, column]) if (row, column) in cells else "" for column in columns),
        )
    return grid


def _cell(cell: CellResult) -> Text:
    if cell.error is not None:
        return Text("BROKEN", style="bold white on red")
    lines = [short_end(cell)]
    if cell.round is not None:
        lines.append(f"round {cell.round}")
    timing = cell.timing
    lines += rung_and_times(cell)
    if timing is not None:
        lines.append(f"{timing.median:.1f} ms")
        if len(timing.values) > 1:
            lines.append(f"{timing.min:.1f}–{timing.max:.1f}")
    if cell.disagree:
        return Text("\n".join(["RUNS DISAGREE", ends(cell)]), style="bold white on red")
    if not cell.is_as_predicted:
        return Text("\n".join([*lines, f"NOT {cell.predicted}"]), style="bold white on red")
    if not cell.ok:
        return Text("\n".join([*lines, "CHECK FAILED"]), style="bold white on red")
    if cell.observed is Outcome.FAILED and cell.path != Kind.RELAYED:
        lines.append("forbidden" if cell.category is Category.FORBIDDEN else "could have")
        return Text("\n".join(lines), style="yellow")
    by_detour = cell.round not in (None, 1) or cell.path == Kind.RELAYED
    return Text("\n".join(lines), style="cyan" if by_detour else "green")
