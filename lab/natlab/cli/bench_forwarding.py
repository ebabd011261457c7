"""`make bench`: what two clients carry between two programs, beside two socats and WireGuard in user space.

`natlab.bench` has the rows and the chains. They run in a sandbox, in turn; each pair of runs gives a ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from natlab.bench import rows
from natlab.bench.rows import ROWS, SEALED, Measured, Medians
from natlab.sandbox import sandbox

_TIMEOUT = 1_200.0
HEADLINE = ROWS[0].name
"""The row whose ratio stands for all in the history."""
COLUMNS = (
    *("row", "chain", "per second", "x socat", "lost", "delay µs", "99 %", "CPU µs"),
    *("smallest flow", "goal"),
)


def measure_forwarding(names: Sequence[str] = (), pairs: int = 3) -> list[Measured]:
    """The rows of these names, all if none is given; each chain `pairs` times in turn.

    Raises `ProgramError` if one of the chains does not work, and the sandbox's errors.
    """
    names = list(names) or [row.name for row in ROWS]
    return sandbox.call(_TIMEOUT, rows.measure, names, pairs)


def measure_memory(flows: int = rows.MOST_FLOWS) -> dict[int, int]:
    """Octets in memory of both clients, by number of flows."""
    return sandbox.call(_TIMEOUT, rows.memory, flows)


def headline(measured: Sequence[Measured]) -> float | None:
    """The sealed ratio of the first row; None if that was not measured."""
    return next((row.medians[SEALED].ratio for row in measured if row.name == HEADLINE), None)


def lines(
    title: str, medians: Mapping[str, Medians], goals: Mapping[str, float]
) -> list[list[str]]:
    """A row's lines in the order of `COLUMNS`, one for each chain."""
    made = []
    for number, (chain, found) in enumerate(medians.items()):
        delays = [f"{value:,.0f}" if value else "" for value in (found.delay, found.delay_99)]
        goal = f">= {goals[chain]:.1f}" if chain in goals else ""
        slowest = f"{found.slowest:.2f} x" if found.flows > 1 else ""
        made.append(
            [
                "" if number else title,
                chain,
                f"{found.rate:,.0f}",
                f"{found.ratio:.2f}",
                f"{100 * found.loss:.2f} %",
                *delays,
                f"{found.processor:.1f}",
                slowest,
                goal,
            ]
        )
    return made


def forwarding_table(measured: Sequence[Measured]) -> Table:
    """The rows as a table for people."""
    table = Table(title="Datagrams through two hops")
    for heading in COLUMNS:
        table.add_column(heading, justify="left" if heading in {"row", "chain"} else "right")
    goals = {row.name: row.goals for row in ROWS}
    for row in measured:
        for line in lines(row.title, row.medians, goals.get(row.name, {})):
            table.add_row(*line)
        table.add_section()
    return table
