"""Cells, commands and standing labs over links with conditions."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
from pathlib import Path

import pytest

from natlab.links.conditions import LinkConditions, Way
from natlab.matrix.jobs import CellJob
from tests.lab import commands, warm
from tests.lab.patience import measured_mostly

_TIMEOUT = 50.0
_KEPT = "the links kept their conditions"

pytestmark = pytest.mark.measures_time


def test_a_cell_connects_in_little_more_than_its_wires_take(tmp_path: Path) -> None:
    """2 R + 1.5 P until both have proof; one round trip more would be 1.2 of it."""
    from natlab.matrix.cell import run_cell

    conditions = LinkConditions(Way(delay=0.08), Way(delay=0.08))
    job = CellJob("full-cone", "symmetric", tmp_path, links=conditions)
    cell = measured_mostly(
        lambda cell: cell.ok and (cell.connect_ms or 0.0) < 1.15 * (cell.bound_ms or 0.0),
        lambda: warm.call(job.timeout, run_cell, job),
    )
    assert cell.ok, cell
    assert cell.bound_ms is not None
    assert cell.connect_ms is not None
    assert cell.bound_ms == pytest.approx(4 * 80 + 3 * 160, rel=0.03)
    assert cell.connect_ms / cell.bound_ms < 1.15
    kept = next(check for check in cell.checks if check.name == _KEPT)
    assert kept.why.startswith(("delay line: nat_a-internet: delay 80 ms", "netem: "))


def test_a_cell_over_lossy_links_that_duplicate_and_reorder_is_still_understood(
    tmp_path: Path,
) -> None:
    from natlab.matrix.cell import run_cell

    way = Way(delay=0.01, jitter=0.002, loss=0.05, reorder=0.1, duplicate=0.3)
    job = CellJob("none", "full-cone", tmp_path, links=LinkConditions(way, way, seed=1))
    cell = measured_mostly(
        lambda cell: [check.name for check in cell.checks if not check.ok] != [_KEPT],
        lambda: warm.call(job.timeout, run_cell, job),
    )
    assert cell.ok, cell


def test_the_command_line_tells_what_the_links_were(tmp_path: Path) -> None:
    done = measured_mostly(
        lambda done: done.returncode == 0,
        lambda: commands.lab(
            *("matrix", "--nat", "none", "--delay", "20ms/10ms", "--mtu", "1400"),
            *("--report", tmp_path / "r"),
            timeout=_TIMEOUT,
        ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["header"]["links"] in {
        f"NATs to internet by {method}: delay 20 ms; back: delay 10 ms, MTU 1400"
        for method in ("delay line", "netem")
    }


def test_a_standing_lab_has_them_too(tmp_path: Path) -> None:
    from natlab.testbed.api import NatLab

    links = LinkConditions(Way(delay=0.03), Way(delay=0.01))

    def ping() -> tuple[float, list[str]]:
        with NatLab("full-cone", "none", tmp_path, links) as lab:
            said = lab.run("host_a", "ping -q -c 5 -i 0.1 $LAB_SERVER").stdout
            troubles = lab.finish()
        return float(said.partition("min/avg/max/mdev = ")[2].partition("/")[0]), troubles

    shortest, troubles = measured_mostly(lambda seen: seen[0] < 41 and not seen[1], ping)
    assert troubles == []
    assert 40 <= shortest < 41
    assert (tmp_path / "links.txt").read_text().count("delay 30 ms; back: delay 10 ms") == 2
