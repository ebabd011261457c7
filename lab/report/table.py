"""The N × N table for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.outcome import Outcome
from lab.result import CellResult, Report

_WIDTH = 120
"""Columns, where the output is no terminal that would tell."""


def print_table(report: Report, console: Console | None = None) -> None:
    """The table, then a line for each cell that is not as it should be, then the sum."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDTH, color_system=None)
    console.print(table(report))
    for cell in report.cells:
        for line in faults(cell):
            console.print(Text(f"  {cell.nat_a} × {cell.nat_b}: {line}", style="bold red"))
    console.print(Text(summary(report), style="bold green" if report.ok else "bold red"))


def table(report: Report) -> Table:
    """Rows: the NAT of host_a. Columns: the NAT of host_b. Pairs that were not run stay empty."""
    cells = {(cell.nat_a, cell.nat_b): cell for cell in report.cells}
    rows = list(dict.fromkeys(cell.nat_a for cell in report.cells))
    columns = list(dict.fromkeys(cell.nat_b for cell in report.cells))
    grid = Table(title="host_a's NAT by row, host_b's by column", show_lines=True)
    grid.add_column("A \\ B", style="bold", no_wrap=True)
    for column in columns:
        grid.add_column(column.replace("-", "-\n"), justify="center")
    for row in rows:
        grid.add_row(
            row,
            *(_cell(cells[row, column]) if (row, column) in cells else "" for column in columns),
        )
    return grid


def faults(cell: CellResult) -> list[str]:
    """Why the cell is not `ok`, a line each."""
    if cell.error is not None:
        return [cell.error]
    return [f"not so: {check.name} ({check.why})" for check in cell.checks if not check.ok]


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
    return f"{text}, {broken} broken" if broken else text


def _cell(cell: CellResult) -> Text:
    if cell.error is not None:
        return Text("BROKEN", style="bold white on red")
    lines = [str(cell.observed)]
    if cell.round is not None:
        lines.append(f"round {cell.round}")
    if cell.connect_ms is not None:
        lines.append(f"{cell.connect_ms:.1f} ms")
    if cell.observed is not cell.predicted:
        return Text("\n".join([*lines, f"NOT {cell.predicted}"]), style="bold white on red")
    if not cell.ok:
        return Text("\n".join([*lines, "CHECK FAILED"]), style="bold white on red")
    if cell.observed is Outcome.FAILED:
        return Text("\n".join(lines), style="yellow")
    return Text("\n".join(lines), style="cyan" if cell.round == 2 else "green")
