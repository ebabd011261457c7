"""Runs the trials of one rival that have no result yet, and keeps each as it ends."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from natlab.evidence.result import CellResult
from natlab.links.options import conditions_of
from natlab.matrix.matrix import Plan, run_matrix
from natlab.testbed.program_file import read_program_file
from scoreboard.results import Kept, Row, read_kept, row_of, write_kept
from scoreboard.rivals import HOME, Rival
from scoreboard.trials import LINKS, Group, placed

Say = Callable[[str], None]


def results_file(rival: Rival) -> Path:
    """Where its results are kept."""
    return HOME / "results" / f"{rival.name}.json"


def collect(
    rival: Rival, version: str, groups: Sequence[Group], jobs: int, say: Say, *, again: bool
) -> None:
    """Run what is missing of `groups`, or everything with `again`.

    Results of another version of the rival, or of other files of ours, are dropped. Raises `LabError`
    and `UsageError`, and goes on next time where it was interrupted.
    """
    path = results_file(rival)
    old = read_kept(path)
    if old is None or (old.version, old.digest) != (version, rival.digest):
        old = Kept(rival.name, version, rival.digest, {}, ())
    rows = {row.key: row for row in old.rows}
    file = read_program_file(rival.file)
    for group in groups:
        pairs = [pair for pair in group.pairs if again or _is_missing(rows, group, pair)]
        if not pairs:
            continue
        say(f"{rival.name} {version}: {group.title}, {len(pairs)} of {len(group.pairs)} trials")

        def done(cell: CellResult, group: Group = group) -> None:
            row = row_of(group.name, cell)
            rows[row.key] = row
            write_kept(replace(old, header=_header(jobs), rows=tuple(rows.values())), path)
            say(f"  {row.nat_a} × {row.nat_b}: {row.error or row.path}")

        report = HOME / "reports" / rival.name / group.name
        links = conditions_of({"delay": LINKS})
        run_matrix(Plan(pairs, jobs, report, links=links, program=placed(file, group)), done)


def _is_missing(rows: dict[tuple[str, str, str], Row], group: Group, pair: tuple[str, str]) -> bool:
    row = rows.get((group.name, *pair))
    return row is None or row.error is not None


def _header(jobs: int) -> dict[str, str]:
    return {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        "kernel": platform.release(),
        "processors": str(os.cpu_count()),
        "load": " ".join(f"{each:.1f}" for each in os.getloadavg()),
        "jobs": str(jobs),
    }
