"""Real NATs that give ports in sequence: the client opens the pair at the port that comes next, and the packets show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from natlab.matrix.jobs import CellJob
from tests.lab import warm

if TYPE_CHECKING:
    from pathlib import Path

    from natlab.evidence.result import CellResult

pytestmark = pytest.mark.timeout(120)
SEQUENTIAL = "APDM+APDF+sequential"


@pytest.mark.parametrize(
    ("nat_a", "nat_b"),
    [
        ("EIM+APDF", SEQUENTIAL),
        (f"{SEQUENTIAL}+background-100", f"{SEQUENTIAL}+background-20"),
        ("APDM+APDF+preserving", "EIM+APDF"),
        ("APDM+APDF+preserving", "ADM+APDF+preserving"),
    ],
)
def test_a_pair_opens_at_the_port_that_comes_next_while_others_take_ports(
    nat_a: str, nat_b: str, tmp_path: Path
) -> None:
    cell = _cell(nat_a, nat_b, tmp_path)
    assert cell.ok, cell
    assert (cell.method, cell.path) == ("prediction", "direct")
    assert cell.cause.endswith("as both aimed at the next port.")


def test_a_pair_that_it_cannot_open_is_relayed_and_its_bursts_stay_within_bounds(
    tmp_path: Path,
) -> None:
    cell = _cell("symmetric", SEQUENTIAL, tmp_path)
    assert cell.ok, cell
    assert cell.path == "relayed"
    assert [check.ok for check in cell.checks if "of a side aimed" in check.name] == [True]


def _cell(nat_a: str, nat_b: str, directory: Path) -> CellResult:
    from natlab.matrix.cell import run_cell  # noqa: PLC0415 - it reads Mininet

    job = CellJob(nat_a, nat_b, directory)
    return warm.call(job.timeout, run_cell, job)
