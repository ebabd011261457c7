"""Runs the trials of one rival that have no result yet, and keeps each as it ends."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum
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


class Which(Enum):
    """The trials that are to be run."""

    MISSING = "missing"
    """Those without a result, and those that broke."""
    LATE = "late"
    """These, and those whose links were late."""
    ALL = "all"


def collect(
    rival: Rival,
    version: str,
    group: Group,
    jobs: int,
    say: Say,
    *,
    which: Which = Which.MISSING,
    most: int | None = None,
) -> int:
    """Run the trials of `group` that `which` says, at most `most`, and return how many that were.

    Results of another version of the rival, or of other files of ours, are dropped. Raises `LabError`
    and `UsageError`, and goes on next time where it was interrupted.
    """
    path = results_file(rival)
    old = read_kept(path)
    if old is None or (old.version, old.digest) != (version, rival.digest):
        old = Kept(rival.name, version, rival.digest, {}, ())
    rows = {row.key: row for row in old.rows}
    pairs = [pair for pair in group.pairs if _is_due(rows.get((group.name, *pair)), which)][:most]
    if not pairs:
        return 0
    say(f"{rival.name} {version}: {group.title}, {len(pairs)} of {len(group.pairs)} trials")

    def done(cell: CellResult) -> None:
        moment = datetime.now().astimezone().isoformat(timespec="minutes")
        found = row_of(group.name, cell)
        row = replace(found, ended=moment, load=round(os.getloadavg()[0], 1), jobs=jobs)
        rows[row.key] = row
        write_kept(replace(old, header=_HEADER, rows=tuple(rows.values())), path)
        late = ", late" if row.late else ""
        say(f"  {row.nat_a} × {row.nat_b}: {row.error or row.path}{late}")

    report = HOME / "reports" / rival.name / group.name
    links = conditions_of({"delay": LINKS})
    program = placed(read_program_file(rival.file), group)
    run_matrix(Plan(pairs, jobs, report, links=links, program=program), done)
    return len(pairs)


def _is_due(row: Row | None, which: Which) -> bool:
    if row is None or row.error is not None:
        return True
    return which is Which.ALL or (which is Which.LATE and row.late)


_HEADER = {"kernel": platform.release(), "processors": str(os.cpu_count())}
